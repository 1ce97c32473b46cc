#include "jobs/outcome.h"

#include <openssl/evp.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "api/digest.h"

namespace rollback::reconcilers {
namespace {

using nlohmann::json;

// What follows `prefix` in the last line that begins with it.
std::optional<std::string> lastLine(const std::string& log, const std::string& prefix) {
  auto at = log.rfind(prefix);
  while (at != std::string::npos && at > 0 && log[at - 1] != '\n')
    at = log.rfind(prefix, at - 1);  // not in a line's middle
  if (at == std::string::npos) return std::nullopt;
  const auto begin = at + prefix.size(), end = log.find('\n', begin);
  return log.substr(begin, end == std::string::npos ? end : end - begin);
}

Result<std::string> decodeBase64(const std::string& text) {
  std::string out(text.size() / 4 * 3 + 3, '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (n < 0) return Error{ErrorCode::Protocol, "a result line of the mover's log is not base64"};
  int pad = 0;
  for (auto it = text.rbegin(); it != text.rend() && *it == '=' && pad < 2; ++it) ++pad;
  out.resize(static_cast<std::size_t>(n - pad));
  return out;
}

}  // namespace

Result<Outcome> decodeOutcome(std::string_view terminationMessage) {
  const json doc = json::parse(terminationMessage, nullptr, false);
  if (!doc.is_object() || !doc.contains("outcome") || !doc["outcome"].is_string())
    return Error{ErrorCode::Protocol, "the pod's termination message is not an outcome of the mover"};
  Outcome out;
  const auto kind = doc["outcome"].get<std::string>();
  if (kind == "Succeeded")
    out.kind = Outcome::Kind::Succeeded;
  else if (kind == "Refused")
    out.kind = Outcome::Kind::Refused;
  else if (kind == "Failed")
    out.kind = Outcome::Kind::Failed;
  else
    return Error{ErrorCode::Protocol, "the mover reported an unknown outcome"};
  auto text = [&](const char* name) {
    return doc.contains(name) && doc[name].is_string() ? doc[name].get<std::string>() : std::string();
  };
  out.code = text("code");
  out.message = text("message");
  out.token = text("token");
  out.resultSha256 = text("resultSha256");
  if (doc.contains("resultSize") && doc["resultSize"].is_number_integer())
    out.resultSize = doc["resultSize"].get<std::int64_t>();
  if (doc.contains("result") && !doc["result"].is_null())
    out.result = doc["result"].dump(-1, ' ', false, json::error_handler_t::replace);
  else
    out.resultMissing = out.resultSize > 0;
  return out;
}

Result<std::string> joinResult(const std::string& log, const Outcome& outcome) {
  static const std::string prefix = "FRB-RESULT ";
  std::map<int, std::string> pieces;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    if (line.compare(0, prefix.size(), prefix) != 0) continue;
    std::istringstream fields(line.substr(prefix.size()));
    int index = -1;
    std::string piece;
    if (!(fields >> index >> piece) || index < 0)
      return Error{ErrorCode::Protocol, "a result line of the mover's log is malformed"};
    auto bytes = decodeBase64(piece);
    if (!bytes) return bytes.error();
    pieces[index] = *bytes;
  }
  std::string joined;
  for (const auto& [index, piece] : pieces) joined += piece;
  if (static_cast<std::int64_t>(joined.size()) != outcome.resultSize || api::sha256Hex(joined) != outcome.resultSha256)
    return Error{ErrorCode::Protocol, "the result in the mover's log is incomplete: " + std::to_string(joined.size()) +
                                          " of " + std::to_string(outcome.resultSize) + " bytes"};
  return joined;
}

std::optional<MoverProgress> lastProgress(const std::string& log) {
  const auto line = lastLine(log, "FRB-PROGRESS ");
  if (!line) return std::nullopt;
  const json doc = json::parse(*line, nullptr, false);
  if (!doc.is_object()) return std::nullopt;
  MoverProgress out;
  auto number = [&](const char* name) {
    return doc.contains(name) && doc[name].is_number_integer() ? doc[name].get<std::int64_t>() : std::int64_t{0};
  };
  out.progress.done = number("done");
  out.progress.total = number("total");
  if (doc.contains("unit") && doc["unit"].is_string()) out.progress.unit = doc["unit"].get<std::string>();
  if (doc.contains("what") && doc["what"].is_string()) out.what = doc["what"].get<std::string>();
  return out;
}

std::optional<Outcome> lastOutcome(const std::string& log) {
  const auto line = lastLine(log, "FRB-OUTCOME ");
  auto outcome = line ? decodeOutcome(*line) : Result<Outcome>(Error{});
  return outcome ? std::optional(std::move(*outcome)) : std::nullopt;
}

bool JobView::podsGone() const {
  for (const auto& pod : pods)
    if (!pod.ended()) return false;
  return true;
}

bool JobView::moversGone() const {
  return std::all_of(pods.begin(), pods.end(), [&](const kube::Pod& pod) {
    return pod.ended() || pod.meta.name == saidBy ||
           std::any_of(pod.containers.begin(), pod.containers.end(),
                       [](const auto& container) { return container.name == kMoverContainer && container.terminated; });
  });
}

const kube::Pod* JobView::runningPod() const {
  for (const auto& pod : pods)
    if (pod.phase == "Running" && !pod.meta.deleting()) return &pod;
  return nullptr;
}

std::string JobView::trouble() const {
  static const char* waiting[] = {"ErrImagePull",     "ImagePullBackOff",           "ErrImageNeverPull",
                                  "InvalidImageName", "CreateContainerConfigError", "CreateContainerError",
                                  "RunContainerError"};
  for (const auto& pod : pods) {
    if (pod.ended()) continue;
    if (!pod.unschedulable.empty()) return "the pod cannot be scheduled: " + pod.unschedulable;
    for (const auto* statuses : {&pod.initContainers, &pod.containers})
      for (const auto& status : *statuses)
        for (const char* reason : waiting)
          if (status.waitingReason == reason)
            return "container " + status.name + " does not start: " + status.waitingReason +
                   (status.waitingMessage.empty() ? "" : ": " + status.waitingMessage);
  }
  return {};
}

}  // namespace rollback::reconcilers
