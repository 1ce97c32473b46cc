// What pg_restore prints: table of contents, sequence values, errors.
#include <algorithm>

#include "fuzz.h"
#include "mover/archive.h"

void rollback::fuzz::one(std::string_view input) {
  using namespace mover;
  const std::string text(input);
  const auto toc = parseToc(text);
  std::string list;
  for (const auto& entry : toc) {
    require(text.find(entry.line) != std::string::npos && entry.line.find('\n') == std::string::npos,
            "a line of the list");
    require(entry.line.size() >= entry.tail.size() &&
                entry.line.compare(entry.line.size() - entry.tail.size(), entry.tail.size(), entry.tail) == 0,
            "the end of its line");
    require(!(isLeftOut(entry) && isSchemaEntry(entry)), "left out or restored first, not both");
    (void)needsSuperuser(entry);
    list += entry.line + "\n";
  }
  const auto again = parseToc(list);
  require(again.size() == toc.size(), "a list made of the lines has the same entries");
  for (std::size_t each = 0; each < toc.size(); ++each)
    require(again[each].line == toc[each].line && again[each].tail == toc[each].tail, "and each means the same");
  const auto sequences = parseSequenceScript(text);
  require(
      std::is_sorted(sequences.begin(), sequences.end(), [](const auto& a, const auto& b) { return a.name < b.name; }),
      "sorted by name");
  require(errorLine(text).size() <= 400 && errorLine(text).find('\n') == std::string::npos, "one line, not too long");
}
