#include "kube/objects/request.h"

#include <nlohmann/json.hpp>

namespace rollback::kube {

namespace {

bool unreserved(unsigned char c) {  // RFC 3986 §2.3: never encoded
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

// Everything else becomes %XX, also the characters a query could hold bare: a selector's '=' or ',' or a continue
// token's
// '+' then cannot be read as syntax by anybody on the way.
void encodeTo(std::string& out, const std::string& text) {
  static const char* const kHex = "0123456789ABCDEF";
  for (const unsigned char c : text) {
    if (unreserved(c)) {
      out += char(c);
    } else {
      out += '%';
      out += kHex[c >> 4];
      out += kHex[c & 15];
    }
  }
}

const char* verbWord(Verb verb) {
  switch (verb) {
    case Verb::Get:
      return "GET";
    case Verb::List:
      return "LIST";
    case Verb::Watch:
      return "WATCH";
    case Verb::Create:
      return "CREATE";
    case Verb::Update:
      return "UPDATE";
    case Verb::Patch:
      return "PATCH";
    case Verb::Delete:
      return "DELETE";
  }
  return "?";
}

bool namesOneObject(Verb verb) {
  return verb == Verb::Get || verb == Verb::Update || verb == Verb::Patch || verb == Verb::Delete;
}

// What the API server accepts as a path segment (apimachinery validation/path): encoding cannot save "." and "..".
bool pathSegment(const std::string& text) {
  return text != "." && text != ".." && text.find('/') == std::string::npos && text.find('%') == std::string::npos;
}

Request request(Verb verb, const Resource& resource, std::string namespace_, std::string name) {
  Request made;
  made.verb = verb;
  made.resource = resource;
  made.namespace_ = std::move(namespace_);
  made.name = std::move(name);
  return made;
}

}  // namespace

std::string Request::target() const {
  std::string out = resource.group.empty() ? "/api/" : "/apis/";
  if (!resource.group.empty()) {
    encodeTo(out, resource.group);
    out += '/';
  }
  encodeTo(out, resource.version);
  if (resource.namespaced && !namespace_.empty()) {
    out += "/namespaces/";
    encodeTo(out, namespace_);
  }
  out += '/';
  encodeTo(out, resource.plural);
  if (!name.empty()) {
    out += '/';
    encodeTo(out, name);
  }
  if (!subresource.empty()) {
    out += '/';
    encodeTo(out, subresource);
  }
  char separator = '?';
  if (verb == Verb::Watch) {
    out += "?watch=true";
    separator = '&';
  }
  for (const auto& [key, value] : query) {
    out += separator;
    encodeTo(out, key);
    out += '=';
    encodeTo(out, value);
    separator = '&';
  }
  return out;
}

const char* Request::method() const {
  switch (verb) {
    case Verb::Get:
    case Verb::List:
    case Verb::Watch:
      return "GET";
    case Verb::Create:
      return "POST";
    case Verb::Update:
      return "PUT";
    case Verb::Patch:
      return "PATCH";
    case Verb::Delete:
      return "DELETE";
  }
  return "GET";
}

std::string Request::describe() const {
  std::string out = std::string(verbWord(verb)) + " " + resource.plural;
  if (!subresource.empty()) out += "/" + subresource;
  const bool inNamespace = resource.namespaced && !namespace_.empty();
  if (inNamespace || !name.empty()) out += " ";
  if (inNamespace) out += namespace_;
  if (inNamespace && !name.empty()) out += "/";
  out += name;
  if (!asServiceAccount.empty()) out += " as ServiceAccount " + namespace_ + "/" + asServiceAccount;
  return out;
}

std::string Request::fault() const {
  if (resource.version.empty() || resource.plural.empty()) return "it names no resource";
  if (namesOneObject(verb) && name.empty()) return "it names no object";
  // A create may name its object only as the parent of a subresource (pods/…/eviction).
  if (verb == Verb::Create && name.empty() != subresource.empty()) return "a create names its object in the body";
  if ((verb == Verb::List || verb == Verb::Watch) && !(name.empty() && subresource.empty())) {
    return "a list or watch of one object is asked for by fieldSelector, not by name";
  }
  const bool clusterWide = verb == Verb::List || verb == Verb::Watch;
  if (resource.namespaced && namespace_.empty() && !clusterWide) return "it names no namespace";
  if (!asServiceAccount.empty() && namespace_.empty()) return "it impersonates a ServiceAccount of no namespace";
  for (const std::string* segment : {&namespace_, &name, &subresource, &asServiceAccount}) {
    if (!pathSegment(*segment)) return "'" + *segment + "' cannot be part of a path";
  }
  return "";
}

Request get(const Resource& resource, std::string namespace_, std::string name) {
  return request(Verb::Get, resource, std::move(namespace_), std::move(name));
}

Request list(const Resource& resource, std::string namespace_, std::string labelSelector) {
  Request made = request(Verb::List, resource, std::move(namespace_), "");
  if (!labelSelector.empty()) made.query.emplace_back("labelSelector", std::move(labelSelector));
  return made;
}

Request create(const Resource& resource, std::string namespace_, std::string body) {
  Request made = request(Verb::Create, resource, std::move(namespace_), "");
  made.body = std::move(body);
  return made;
}

Request updateStatus(const Resource& resource, std::string namespace_, std::string name, std::string body) {
  Request made = request(Verb::Update, resource, std::move(namespace_), std::move(name));
  made.subresource = "status";
  made.body = std::move(body);
  return made;
}

Request patch(const Resource& resource, std::string namespace_, std::string name, PatchType type, std::string body) {
  Request made = request(Verb::Patch, resource, std::move(namespace_), std::move(name));
  made.patchType = type;
  made.body = std::move(body);
  return made;
}

Request remove(const Resource& resource, std::string namespace_, std::string name, const std::string& uid,
               const std::string& resourceVersion) {
  // The uid is sent also when it is empty: the server then refuses, instead of deleting whoever has the name now.
  nlohmann::json options = {{"apiVersion", "v1"},
                            {"kind", "DeleteOptions"},
                            {"propagationPolicy", "Background"},
                            {"preconditions", {{"uid", uid}}}};
  if (!resourceVersion.empty()) options["preconditions"]["resourceVersion"] = resourceVersion;
  Request made = request(Verb::Delete, resource, std::move(namespace_), std::move(name));
  made.body = options.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return made;
}

}  // namespace rollback::kube
