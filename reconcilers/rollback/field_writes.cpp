#include "rollback/field_writes.h"

#include <sstream>

namespace rollback::reconcilers {
namespace {

constexpr int kContested = 8;

// What a line says was announced as `what`: workload → generation.
std::map<std::string, std::string> announced(const std::string& message, const std::string& what) {
  std::map<std::string, std::string> out;
  if (message.rfind(what + " ", 0) != 0) return out;
  std::istringstream words(message.substr(what.size()));
  for (std::string word; words >> word;) out[word.substr(0, word.find('@'))] = word.substr(word.find('@') + 1);
  return out;
}

}  // namespace

void FieldWrites::add(const ComponentView& component, kube::Request request) {
  requests_.push_back(std::move(request));
  last_ = component.key();
  generations_[last_] = std::to_string(component.view->workload->meta.generation);
}

StepResult FieldWrites::send(StepContext& context, const std::string& recordName, const std::string& what,
                             const char* code, const std::string& contested) {
  auto& line = context.record(recordName);
  const auto before = announced(line.message, what);
  auto now = before;
  bool again = false;
  for (const auto& [workload, generation] : generations_) {
    const auto [entry, isNew] = now.emplace(workload, generation);
    if (isNew || entry->second == generation) continue;
    entry->second = generation;
    again = true;
  }
  if (now == before) return StepResult::act(std::move(requests_));
  if (again && line.attempt >= kContested)
    return StepResult::fail(code, contested + "; find who writes it with: kubectl get " + last_ + " -n " +
                                      context.draft.meta.namespace_ + " --show-managed-fields -o yaml");
  if (line.state.empty()) line.state = "Running";
  if (again || line.attempt == 0) line.attempt += 1;
  line.message = what;
  for (const auto& [workload, generation] : now) line.message += " " + workload + "@" + generation;
  return StepResult::record();
}

}  // namespace rollback::reconcilers
