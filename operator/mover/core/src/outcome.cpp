#include "mover/outcome.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "mover/database.h"
#include "mover/digest.h"

namespace rollback::mover {
namespace {

using nlohmann::json;

constexpr std::size_t kMessageLimit = 3072;  // of the whole termination message: the kubelet cuts at 4096
constexpr std::size_t kTextLimit = 1024;     // of the sentence in it
constexpr std::size_t kPiece = 6000;         // bytes that are 8000 as base64
constexpr const char* kBlot = "…";           // may itself be a secret: what was put in is not searched again

std::string dumped(const json& document) { return document.dump(-1, ' ', false, json::error_handler_t::replace); }

std::string blotted(std::string text, const std::vector<std::string>& secrets) {
  for (const auto& secret : secrets) {
    if (secret.size() < 3) continue;  // it would tear holes into every sentence
    for (std::size_t at = 0; (at = text.find(secret, at)) != std::string::npos; at += std::strlen(kBlot))
      text.replace(at, secret.size(), kBlot);
  }
  return text;
}

std::string shortened(std::string text, std::size_t limit) {
  if (text.size() <= limit) return text;
  std::size_t keep = limit;
  while (keep > 0 && (static_cast<unsigned char>(text[keep]) & 0xC0) == 0x80) --keep;
  return text.substr(0, keep) + "…";
}

}  // namespace

const char* toString(Outcome::Kind kind) {
  switch (kind) {
    case Outcome::Kind::Succeeded:
      return "Succeeded";
    case Outcome::Kind::Refused:
      return "Refused";
    case Outcome::Kind::Failed:
      return "Failed";
  }
  return "Failed";
}

Outcome succeeded(std::string resultJson) { return Outcome{Outcome::Kind::Succeeded, "", "", std::move(resultJson)}; }
Outcome refused(const Error& error) { return Outcome{Outcome::Kind::Refused, codeOf(error), error.message, ""}; }
Outcome failed(const Error& error) { return Outcome{Outcome::Kind::Failed, codeOf(error), error.message, ""}; }

std::string codeOf(const Error& error) {
  if (!sqlState(error).empty()) return "SqlError";
  return error.reason.empty() ? toString(error.code) : error.reason;
}

Error problem(ErrorCode code, std::string reason, std::string message) {
  Error error;
  error.code = code;
  error.reason = std::move(reason);
  error.message = std::move(message);
  return error;
}

Error during(const std::string& what, Error error) {
  error.message = what + ": " + error.message;
  return error;
}

Report report(const Outcome& outcome, const std::string& token, const std::vector<std::string>& secrets) {
  Report out;
  json message = {{"outcome", toString(outcome.kind)},
                  {"code", outcome.code},
                  {"message", shortened(blotted(outcome.message, secrets), kTextLimit)},
                  {"token", token}};
  if (!outcome.result.empty()) {
    message["resultSize"] = outcome.result.size();
    message["resultSha256"] = sha256Hex(outcome.result);
    json whole = message;
    whole["result"] = json::parse(outcome.result, nullptr, false);
    out.terminationMessage = dumped(whole);
    if (out.terminationMessage.size() <= kMessageLimit) return out;
    for (std::size_t at = 0, index = 0; at < outcome.result.size(); at += kPiece, ++index)
      out.resultLines.push_back("FRB-RESULT " + std::to_string(index) + " " +
                                toBase64(std::string_view(outcome.result).substr(at, kPiece)));
  }
  out.terminationMessage = dumped(message);
  // Bytes that are no text, and control characters, take up to six times their number.
  for (std::size_t limit = kTextLimit / 2; out.terminationMessage.size() > kMessageLimit && limit > 0; limit /= 2) {
    message["message"] = shortened(blotted(outcome.message, secrets), limit);
    out.terminationMessage = dumped(message);
  }
  return out;
}

}  // namespace rollback::mover
