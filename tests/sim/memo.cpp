// Each decoder is run once for each distinct text: the linker sends calls of them here (--wrap, see CMakeLists.txt),
// and what the true one made of a text is remembered. Decoding is most of a run's time, and a pass reads much that did
// not change.
#include <string>
#include <string_view>
#include <unordered_map>

#include "api/backup.h"
#include "api/framework.h"
#include "api/framework_class.h"
#include "api/framework_rollback.h"
#include "jobs/outcome.h"
#include "kube/objects/workloads.h"

namespace rollback::sim {
namespace {

struct Hash : std::hash<std::string_view> {
  using is_transparent = void;
};

template <typename T>
Result<T> remembered(std::string_view text, Result<T> (*decode)(std::string_view)) {
  static std::unordered_map<std::string, Result<T>, Hash, std::equal_to<>> known;
  if (const auto found = known.find(text); found != known.end()) return found->second;
  if (known.size() > 300) known.clear();
  return known.emplace(text, decode(text)).first->second;
}

}  // namespace

#define FRB_MEMO(Type, number, symbol)                               \
  Result<Type> real##number(std::string_view) asm("__real_" symbol); \
  Result<Type> wrap##number(std::string_view) asm("__wrap_" symbol); \
  Result<Type> wrap##number(std::string_view text) { return remembered<Type>(text, real##number); }

FRB_MEMO(api::FrameworkBackup, 1, "_ZN8rollback3api21decodeFrameworkBackupESt17basic_string_viewIcSt11char_traitsIcEE")
FRB_MEMO(api::BackupRepository, 2,
         "_ZN8rollback3api22decodeBackupRepositoryESt17basic_string_viewIcSt11char_traitsIcEE")
FRB_MEMO(api::Framework, 3, "_ZN8rollback3api15decodeFrameworkESt17basic_string_viewIcSt11char_traitsIcEE")
FRB_MEMO(api::FrameworkClass, 4, "_ZN8rollback3api20decodeFrameworkClassESt17basic_string_viewIcSt11char_traitsIcEE")
FRB_MEMO(api::FrameworkClassSpec, 5,
         "_ZN8rollback3api24decodeFrameworkClassSpecESt17basic_string_viewIcSt11char_traitsIcEE")
FRB_MEMO(api::FrameworkRollback, 6,
         "_ZN8rollback3api23decodeFrameworkRollbackESt17basic_string_viewIcSt11char_traitsIcEE")
FRB_MEMO(kube::Job, 7, "_ZN8rollback4kube9decodeJobESt17basic_string_viewIcSt11char_traitsIcEE")
FRB_MEMO(kube::ObjectMeta, 8, "_ZN8rollback4kube10decodeMetaESt17basic_string_viewIcSt11char_traitsIcEE")
FRB_MEMO(kube::Pod, 9, "_ZN8rollback4kube9decodePodESt17basic_string_viewIcSt11char_traitsIcEE")
FRB_MEMO(kube::Workload, 10, "_ZN8rollback4kube14decodeWorkloadESt17basic_string_viewIcSt11char_traitsIcEE")
FRB_MEMO(reconcilers::Outcome, 11,
         "_ZN8rollback11reconcilers13decodeOutcomeESt17basic_string_viewIcSt11char_traitsIcEE")

}  // namespace rollback::sim
