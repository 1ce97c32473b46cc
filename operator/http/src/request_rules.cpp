#include "request_rules.h"

#include <algorithm>
#include <cctype>

namespace rollback::http {
namespace {

// RFC 9110 5.6.2
bool isToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char each) {
    return each < 0x80 && (std::isalnum(each) != 0 ||
                           std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(each)) != std::string_view::npos);
  });
}

bool isOurs(const std::string& lowerCaseName) {
  return lowerCaseName == "host" || lowerCaseName == "content-length" || lowerCaseName == "transfer-encoding" ||
         lowerCaseName == "connection";
}

Error bad(const std::string& what) { return Error{ErrorCode::BadInput, "sending an HTTP request: " + what}; }

}  // namespace

bool holdsControlCharacter(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char each) { return each < 0x20 || each == 0x7f; });
}

std::string lowerCase(std::string_view text) {
  std::string out(text);
  for (char& each : out) {
    if (each >= 'A' && each <= 'Z') each = static_cast<char>(each - 'A' + 'a');
  }
  return out;
}

Result<void> checkRequest(const Request& request) {
  if (!isToken(request.method)) return bad("its method is not a word of letters");
  const std::string& target = request.target;
  if (target.empty() || target[0] != '/' || target.compare(0, 2, "//") == 0) {
    return bad("its target \"" + target + "\" is not a path that begins with one slash");
  }
  if (holdsControlCharacter(target) || target.find_first_of(" #") != std::string::npos) {
    return bad("its target holds a space, '#' or a control character; encode it");
  }
  for (const auto& [name, value] : request.headers) {
    if (!isToken(name)) return bad("the header name \"" + name + "\" holds a character that names must not have");
    if (isOurs(lowerCase(name))) return bad("the header " + name + " is set by the transport; leave it out");
    if (holdsControlCharacter(value)) {
      return bad("the value of header " + name + " holds a control character, perhaps a line end; trim it");
    }
  }
  return {};
}

std::string nameOf(const Request& request, const std::string& origin) {
  return request.method + " " + origin + request.target.substr(0, request.target.find('?'));
}

}  // namespace rollback::http
