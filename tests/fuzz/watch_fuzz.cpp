// One line of a watch: the frame that is found is the one a whole parse shows.
#include <nlohmann/json.hpp>

#include "fuzz.h"
#include "watch_frame.h"

void rollback::fuzz::one(std::string_view input) {
  const auto frame = kube::readWatchFrame(input);
  if (frame) {
    for (const auto part : {frame->type, frame->object})
      require(part.data() >= input.data() && part.data() + part.size() <= input.data() + input.size(),
              "both point into the line");
  }
  const auto line = document(input);
  if (!line.is_object() || depthAtMost(input) > 128) return;
  std::size_t names = 0;  // a member that occurs twice, or is written with an escape, may be understood either way
  for (const char* name : {"\"type\"", "\"object\""})
    for (std::size_t at = input.find(name); at != std::string_view::npos; at = input.find(name, at + 1)) ++names;
  if (names != 2 || input.find('\\') != std::string_view::npos) return;
  const auto type = line.find("type");
  const auto object = line.find("object");
  const bool framed = type != line.end() && type->is_string() && object != line.end() && object->is_object();
  require(frame.ok() == framed, "a frame is one object with a type and an object");
  if (!framed) return;
  require(frame->type == type->get_ref<const std::string&>(), "the type that a whole parse shows");
  require(nlohmann::json::parse(frame->object) == *object, "the object that a whole parse shows");
}
