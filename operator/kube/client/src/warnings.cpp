#include "warnings.h"

namespace rollback::kube {

namespace {

constexpr std::size_t kMaxText = 1024;
constexpr std::size_t kMaxRemembered = 1000;

void skipSpace(std::string_view& rest) {
  while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
}

std::string_view token(std::string_view& rest) {
  skipSpace(rest);
  const std::string_view word = rest.substr(0, rest.find_first_of(" \t"));
  rest.remove_prefix(word.size());
  return word;
}

// A quoted-string; false if `rest` does not begin with a whole one.
bool quoted(std::string_view& rest, std::string& text) {
  skipSpace(rest);
  if (rest.empty() || rest.front() != '"') return false;
  for (std::size_t i = 1; i < rest.size(); ++i) {
    char c = rest[i];
    if (c == '"') {
      rest.remove_prefix(i + 1);
      return true;
    }
    if (c == '\\' && i + 1 < rest.size()) c = rest[++i];
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    if (text.size() < kMaxText) text += control ? ' ' : c;
  }
  return false;
}

}  // namespace

std::vector<std::string> parseWarnings(std::string_view rest) {
  std::vector<std::string> texts;
  while (true) {
    const std::string code(token(rest));
    token(rest);  // the agent, "-" from the API server
    std::string text;
    if (code.empty() || !quoted(rest, text)) return texts;
    if (code == "299" && !text.empty()) texts.push_back(std::move(text));
    skipSpace(rest);
    std::string date;
    if (!rest.empty() && rest.front() == '"' && !quoted(rest, date)) return texts;
    skipSpace(rest);
    if (rest.empty() || rest.front() != ',') return texts;
    rest.remove_prefix(1);
  }
}

void WarningFilter::see(const http::Headers& headers) {
  if (!show_) return;
  for (const auto& [name, value] : headers) {
    if (name != "warning") continue;
    for (const std::string& text : parseWarnings(value)) {
      bool fresh = false;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (seen_.size() >= kMaxRemembered) seen_.clear();
        fresh = seen_.insert(text).second;
      }
      if (fresh) show_(text);
    }
  }
}

}  // namespace rollback::kube
