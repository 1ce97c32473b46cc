#include "rollback/refusals.h"

namespace rollback::reconcilers {
namespace {

constexpr const char* kBackups = "kubectl get frameworkbackups -n {ns}";
constexpr const char* kFramework = "kubectl edit framework {framework} -n {ns}";
constexpr const char* kShowFramework = "kubectl get framework {framework} -n {ns} -o yaml";
constexpr const char* kRecord = "kubectl describe frameworkrollback {name} -n {ns}";
constexpr const char* kRollbacks = "kubectl get frameworkrollbacks -n {ns}";
constexpr const char* kWorkloads = "kubectl get deployments,statefulsets,cronjobs -n {ns}";

}  // namespace

const std::vector<Refusal>& refusals() {
  static const std::vector<Refusal> all{
      // The Framework and what it names.
      {"FrameworkNotFound", "kubectl get frameworks -n {ns}"},
      {"ClassNotFound", "kubectl get frameworkclasses"},
      {"NoComponents", kFramework},
      {"ComponentMissing", kFramework},
      {"WorkloadMissing", kWorkloads},
      {"ContainerMissing", kFramework},
      {"StoreUnknown", kFramework},
      {"ToolsMissing", kFramework},
      {"ReservedDatabase", kFramework},
      {"DatabaseShared", "kubectl get frameworks -A"},
      {"RepositoryMissing", "kubectl get backuprepositories,persistentvolumeclaims -n {ns}"},
      // Others who write what a rollback writes.
      {"WorkloadPaused", kWorkloads},
      {"ClaimsVanish", kWorkloads},
      {"ScaledByKeda", "kubectl get scaledobjects -n {ns}"},
      {"SelfHealed", kWorkloads},
      // The target and its backup.
      {"NoKnownGoodVersion", kShowFramework},
      {"BackupNotFound", kBackups},
      {"BackupNotUsable", kBackups},
      {"BackupNotNamed", kBackups},
      {"BackupTooOld", kBackups},
      {"BackupUnsettled", kBackups},
      {"BackupUnverified", kBackups},
      {"BackupHoldsNoData", kBackups},
      {"BackupIncomplete", kBackups},
      {"BackupDamaged", kBackups},
      {"BackupChanged", kBackups},
      {"BackupOfAnotherFramework", kBackups},
      {"BackupOfAnotherVersion", kBackups},
      {"ManifestUnsupported", kBackups},
      {"HostilePath", kBackups},
      {"StoreMissing", kBackups},
      {"SchemaUnknown", kBackups},
      {"KeyDiffers", "kubectl get frameworkclass {class} -o jsonpath='{.spec.keys}'"},
      {"KeyUnknown", "kubectl get frameworkclass {class} -o jsonpath='{.spec.keys}'"},
      // What is to be undone.
      {"UndoTargetMissing", kRollbacks},
      {"UndoTargetOfAnotherFramework", kRollbacks},
      {"NothingToUndo", kRollbacks},
      {"NotLatest", kRollbacks},
      {"KeptCopyGone", kBackups},
      {"KeptCopyReplaced", kBackups},
      {"DatabaseReplaced", kBackups},
      {"StoreChanged", kShowFramework},
      {"SchemaChanged", kRecord},
      {"DataLossNotAccepted", kRecord},
      // The server.
      {"CannotConnect", kShowFramework},
      {"WrongPassword", kShowFramework},
      {"MayNotConnect", kShowFramework},
      {"NotAcceptingConnections", kShowFramework},
      {"TooManyConnections", kShowFramework},
      {"ServerStarting", kShowFramework},
      {"DatabaseMissing", kShowFramework},
      {"ServerNewerThanTools", kFramework},
      {"ToolMissing", kFramework},
      {"MayNotCreateDatabase", kFramework},
      {"MayNotRename", kFramework},
      {"MayNotSet", kFramework},
      {"NeedsSuperuser", kBackups},
      {"RoleMissing", kRecord},
      {"ExtensionMissing", kRecord},
      {"NotEnoughSpace", "kubectl get persistentvolumeclaims -n {ns}"},
      {"SpaceUnknown", kFramework},
      {"PreparedTransaction", kRecord},
      {"ReplicationSlot", kRecord},
      {"Subscription", kRecord},
      {"ForeignSession", "kubectl get pods -A -o wide"},
      {"ForeignSchema", kRecord},
      // The Jobs.
      {"JobFailed", "kubectl get jobs,pods -n {ns} -l rollback.pa-ecosystem.io/owner-name={name}"},
      {"TargetImageUnusable", "kubectl get events -n {ns} --field-selector involvedObject.kind=Pod,type=Warning"},
  };
  return all;
}

std::string nextCommand(const StepContext& context, const std::string& code) {
  std::string out = kRecord;
  for (const auto& refusal : refusals())
    if (code == refusal.code) out = refusal.command;
  const auto& draft = context.draft;
  const bool known = context.in.ns.framework.has_value();
  const std::pair<const char*, std::string> words[] = {
      {"{ns}", draft.meta.namespace_},
      {"{name}", draft.meta.name},
      {"{framework}", draft.spec.frameworkName},
      {"{class}", known ? context.framework().spec.className : std::string()},
      {"{repository}", known ? context.framework().spec.repositoryName : std::string()},
  };
  for (const auto& [word, value] : words)
    for (auto at = out.find(word); at != std::string::npos; at = out.find(word, at + value.size()))
      out.replace(at, std::string(word).size(), value);
  return out;
}

std::string refusalMessage(const StepContext& context, const std::string& step, const StepResult& refusal) {
  return step + " refused (" + refusal.code + "): " + refusal.message +
         " · the application was not touched and serves as before · nothing more is done; mend the cause and apply it "
         "under a new name · " +
         (refusal.command.empty() ? nextCommand(context, refusal.code) : refusal.command);
}

std::string skippedMessage(const StepContext& context, const StepResult& skipped) {
  return "skipped (" + skipped.code + "): " + skipped.message +
         " · the application was not touched and serves as before · nothing more is done · " +
         (skipped.command.empty() ? nextCommand(context, skipped.code) : skipped.command);
}

StepResult refuse(std::string code, std::string message, std::string command) {
  StepResult out = StepResult::end(api::Phase::Failed, std::move(code), std::move(message));
  out.command = std::move(command);
  return out;
}

}  // namespace rollback::reconcilers
