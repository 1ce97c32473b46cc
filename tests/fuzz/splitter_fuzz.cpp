// Item and line splitters: however the bytes arrive, the same items come out, and they are those of the document.
#include <nlohmann/json.hpp>

#include "fuzz.h"
#include "json/splitter.h"

namespace rollback::fuzz {
namespace {

constexpr std::size_t kMost = 512;  // of an item: small, so that the limit is met

struct Split {
  bool ok = true;
  std::vector<std::string> items;
  std::string envelope;
};

template <typename Feed>
bool fed(std::string_view input, Cuts* cuts, Feed feed) {
  while (!input.empty()) {
    const std::string piece(input.substr(0, cuts == nullptr ? input.size() : cuts->next()));  // its own memory
    input.remove_prefix(piece.size());
    if (!feed(std::string_view(piece))) return false;
  }
  return true;
}

Split items(std::string_view input, Cuts* cuts) {
  Split out;
  json::ItemSplitter splitter(
      [&](std::string_view item) {
        out.items.emplace_back(item);
        require(item.size() <= kMost, "no item beyond the limit");
        return Result<void>{};
      },
      kMost);
  out.ok = fed(input, cuts, [&](std::string_view piece) { return splitter.feed(piece).ok(); });
  if (!out.ok) require(!splitter.feed("{}").ok() && !splitter.finish().ok(), "after an error every call fails");
  out.ok = out.ok && splitter.finish().ok();
  if (out.ok) out.envelope = splitter.envelope();
  return out;
}

Split lines(std::string_view input, Cuts* cuts) {
  Split out;
  json::LineSplitter splitter(
      [&](std::string_view line) {
        out.items.emplace_back(line);
        return true;
      },
      kMost);
  out.ok = fed(input, cuts, [&](std::string_view piece) { return splitter.feed(piece).ok(); });
  return out;
}

void same(const Split& whole, const Split& cut, const std::string& what) {
  require(whole.ok == cut.ok, what + ": cut or whole, the same verdict");
  require(whole.items == cut.items, what + ": cut or whole, the same pieces");
  require(whole.envelope == cut.envelope, what + ": cut or whole, the same envelope");
}

}  // namespace

void one(std::string_view input) {
  Cuts cuts(input);
  const Split whole = items(input, nullptr);
  same(whole, items(input, &cuts), "items");
  same(lines(input, nullptr), lines(input, &cuts), "lines");

  std::size_t lists = 0;
  for (std::size_t at = input.find("items"); at != std::string_view::npos; at = input.find("items", at + 1)) ++lists;
  if (input.find('\\') != std::string_view::npos) return;  // a name with an escape in it may be understood either way
  const auto list = document(input);
  if (!list.is_object() || lists != 1 || depthAtMost(input) > 128 || input.size() > kMost) return;
  const auto found = list.find("items");
  if (found == list.end() || !found->is_array()) return;
  for (const auto& item : *found)
    if (!item.is_object()) return;
  require(whole.ok && whole.items.size() == found->size(), "a list is cut into its items");
  for (std::size_t each = 0; each < whole.items.size(); ++each)
    require(nlohmann::json::parse(whole.items[each]) == (*found)[each], "each item is what stands in the list");
}

}  // namespace rollback::fuzz
