#include "event_json.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace rollback::runtime {
namespace {

using nlohmann::json;

constexpr std::size_t kMostNote = 1024, kMostWord = 128, kMostName = 253;

json encode(const ObjectReference& reference) {
  json out = {{"apiVersion", reference.apiVersion}, {"kind", reference.kind}, {"name", reference.name}};
  if (!reference.namespace_.empty()) out["namespace"] = reference.namespace_;
  if (!reference.uid.empty()) out["uid"] = reference.uid;
  if (!reference.resourceVersion.empty()) out["resourceVersion"] = reference.resourceVersion;
  return out;
}

json series(int count, WallTime last) { return {{"count", count}, {"lastObservedTime", formatMicroTime(last)}}; }

std::string dump(const json& document) { return document.dump(-1, ' ', false, json::error_handler_t::replace); }

}  // namespace

std::string cutText(const std::string& text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

std::string eventName(const std::string& object, WallTime time, std::uint64_t sequence) {
  char suffix[24];
  const auto nanoseconds =
      static_cast<std::uint64_t>(time.time_since_epoch().count()) * 1'000'000 + sequence % 1'000'000;
  std::snprintf(suffix, sizeof suffix, ".%016llx", static_cast<unsigned long long>(nanoseconds));
  std::string name = object.substr(0, kMostName - 17);
  while (!name.empty() && (name.back() == '.' || name.back() == '-')) name.pop_back();
  return name + suffix;
}

std::string encodeEvent(const Event& event, const EventIdentity& identity, const std::string& controller,
                        const std::string& instance, int count, WallTime last) {
  json out = {{"apiVersion", "events.k8s.io/v1"},
              {"kind", "Event"},
              {"metadata", {{"namespace", identity.namespace_}, {"name", identity.name}}},
              {"eventTime", formatMicroTime(identity.eventTime)},
              {"reportingController", cutText(controller, kMostWord)},
              {"reportingInstance", cutText(instance, kMostWord)},
              {"action", cutText(event.action, kMostWord)},
              {"reason", cutText(event.reason, kMostWord)},
              {"regarding", encode(event.regarding)},
              {"note", cutText(event.note, kMostNote)},
              {"type", event.type}};
  if (event.related) out["related"] = encode(*event.related);
  if (count > 1) out["series"] = series(count, last);
  return dump(out);
}

std::string encodeEventSeries(int count, WallTime last) { return dump(json{{"series", series(count, last)}}); }

}  // namespace rollback::runtime
