// An API server in memory, at the level of HTTP: the resources this operator uses, with resourceVersions, generation,
// status and scale subresources, preconditions, finalizers, three kinds of patch, label selectors, pages. What the real
// one does is cited where it is not obvious. Single-threaded.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "http/transport.h"
#include "rules/record.h"
#include "sim/basics.h"

namespace rollback::sim {

using nlohmann::json;

struct Kind {
  std::string group, version, plural, kind;
  bool statusSubresource = false;
};
const Kind* kindOf(const std::string& plural);

class ApiServer {
 public:
  explicit ApiServer(VirtualClock& clock, Dice& dice) : clock_(clock), dice_(dice) {}

  // A request as it arrives. `user` is who the token is of, `as` the impersonated user or empty.
  http::Response handle(const http::Request& request, const std::string& user);

  // --- for controllers, kubelets and users of the simulation: no HTTP, the same store
  using Objects = std::map<std::string, json>;  // by "namespace/name", or "name" where there is no namespace
  const json* find(const std::string& plural, const std::string& key) const;
  std::vector<std::string> keysOf(const std::string& plural) const;
  // Changes one object; nothing happens if `change` changes nothing. False: it is not there.
  bool edit(const std::string& user, const std::string& plural, const std::string& subresource, const std::string& key,
            const std::function<void(json&)>& change);
  void create(const std::string& user, const std::string& plural, json object);
  // As DELETE does: with finalizers, and of a pod, only the wish is noted.
  void remove(const std::string& user, const std::string& plural, const std::string& key);
  // The object goes, whatever holds it (a kubelet's last word on a pod, --force).
  void purge(const std::string& user, const std::string& plural, const std::string& key);

  std::map<std::string, std::string> logs;  // of pods, by name
  std::set<std::string> optedIn;            // namespaces that bound the runner

  // Told of every accepted write, in order; `response` is the object after it.
  std::function<void(const rules::Record&)> onRecord = [](const rules::Record&) {};
  // Told of every change of an object; null: it is gone.
  std::function<void(const std::string& plural, const json& object, bool gone)> onChange = [](const std::string&,
                                                                                              const json&, bool) {};

  long version() const { return version_; }
  std::size_t reads = 0, writes = 0;

 private:
  struct Entry {
    json object;
    std::string text;  // of the object; empty: to be made
  };
  using Store = std::map<std::string, Entry>;
  struct Call;

  http::Response get(const Call& call);
  http::Response list(const Call& call);
  http::Response post(const Call& call);
  http::Response put(const Call& call);
  http::Response patch(const Call& call);
  http::Response del(const Call& call);
  http::Response store(const Call& call, Entry& entry, json next);
  void bump(json& object) { object["metadata"]["resourceVersion"] = std::to_string(++version_); }
  void record(const Call& call, const json* response);
  bool gone(const std::string& plural, const std::string& key);
  const std::string& textOf(Entry& entry);
  json born(const Kind& kind, json object);

  VirtualClock& clock_;
  Dice& dice_;
  std::map<std::string, Store> stores_;  // by plural
  long version_ = 100;
};

}  // namespace rollback::sim
