#include "record.h"

namespace rollback::rules {
namespace {

std::string text(const json& from, const char* member) {
  const auto found = from.is_object() ? from.find(member) : from.end();
  return found != from.end() && found->is_string() ? found->get<std::string>() : std::string();
}

const json* objectOf(const json& from, const char* member) {
  const auto found = from.find(member);
  return found != from.end() && !found->is_null() ? &*found : nullptr;
}

}  // namespace

std::optional<Record> recordOf(const json& line) {
  if (!line.is_object() || text(line, "stage") != "ResponseComplete") return std::nullopt;
  Record out;
  out.verb = text(line, "verb");
  if (out.verb == "get" || out.verb == "list" || out.verb == "watch" || out.verb.empty()) return std::nullopt;
  const auto* user = objectOf(line, "user");
  const auto* as = objectOf(line, "impersonatedUser");
  const auto* about = objectOf(line, "objectRef");
  if (!about) return std::nullopt;
  if (user) out.user = text(*user, "username");
  if (as) out.impersonated = text(*as, "username");
  out.group = text(*about, "apiGroup");
  out.resource = text(*about, "resource");
  out.subresource = text(*about, "subresource");
  out.namespace_ = text(*about, "namespace");
  out.name = text(*about, "name");
  if (const auto* status = objectOf(line, "responseStatus")) out.code = status->value("code", 200);
  out.dryRun = text(line, "requestURI").find("dryRun=All") != std::string::npos;
  out.request = objectOf(line, "requestObject");
  out.response = objectOf(line, "responseObject");
  if (out.name.empty() && out.response && out.response->contains("metadata"))
    out.name = text((*out.response)["metadata"], "name");
  parseTime(text(line, "stageTimestamp"), out.at);
  return out;
}

}  // namespace rollback::rules
