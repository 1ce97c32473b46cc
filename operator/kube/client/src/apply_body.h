// The body of a server-side apply. Its content type says YAML and the API server does read it as YAML, which is not
// quite the superset of JSON it is said to be.
#pragma once

#include <string>
#include <string_view>

namespace rollback::kube {

// JSON text that a YAML reader takes for the same: line breaks only YAML knows (U+0085, U+2028, U+2029; it would fold
// them) and characters it does not admit (U+007F to U+009F, U+FEFF, U+FFFE, U+FFFF) are escaped, the escapes only JSON
// knows (\/ and surrogate pairs) are not. All of them can stand in strings only, so the text is not parsed. Malformed
// text stays so. Pure.
std::string yamlSafeJson(std::string_view json);

}  // namespace rollback::kube
