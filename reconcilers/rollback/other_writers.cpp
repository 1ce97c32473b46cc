#include "rollback/other_writers.h"

#include <algorithm>

#include "api/resources.h"
#include "rollback/refusals.h"

namespace rollback::reconcilers {
namespace {

std::string valueOf(const std::map<std::string, std::string>& words, const char* key) {
  const auto found = words.find(key);
  return found == words.end() ? std::string() : found->second;
}

bool writtenBy(const kube::Workload& workload, const std::string& part) {
  return std::any_of(workload.fieldOwners.begin(), workload.fieldOwners.end(),
                     [&](const auto& owner) { return owner.manager.find(part) != std::string::npos; });
}

// "name" or "namespace_name" of an Argo CD Application; empty: none keeps this workload.
std::string argoApplication(const kube::Workload& workload) {
  if (const auto id = valueOf(workload.meta.annotations, "argocd.argoproj.io/tracking-id"); !id.empty())
    return id.substr(0, id.find(':'));
  if (const auto name = valueOf(workload.meta.labels, "argocd.argoproj.io/instance"); !name.empty()) return name;
  // The label that older releases track by is also Helm's: it is theirs only where they wrote the object.
  return writtenBy(workload, "argocd") ? valueOf(workload.meta.labels, "app.kubernetes.io/instance") : std::string();
}

constexpr const char* kThen = ", then say so with spec.accept.otherWriters: true";

std::optional<StepResult> refuseScaler(const StepContext& context, const ComponentView& component) {
  for (const auto& scaler : context.in.ns.autoscalers) {
    if (scaler.targetKind != component.component->workloadKind ||
        scaler.targetName != component.component->workloadName)
      continue;
    for (const auto& owner : scaler.meta.ownerReferences)
      if (owner.kind == "ScaledObject")
        return refuse(
            "ScaledByKeda",
            component.key() + " is scaled by KEDA (ScaledObject " + owner.name +
                "), which would start it again while it must rest at 0; pause it until the rollback has ended",
            "kubectl annotate scaledobject " + owner.name + " -n " + context.draft.meta.namespace_ +
                " autoscaling.keda.sh/paused=true");
  }
  if (!context.in.ns.autoscalersKnown && writtenBy(*component.view->workload, "keda"))
    return refuse("ScaledByKeda",
                  component.key() + " was scaled by KEDA, and whether it still is cannot be seen: the role bound to " +
                      api::kRunner + " may not list horizontalpodautoscalers. Pause it" + kThen);
  return std::nullopt;
}

std::optional<StepResult> refuseHealer(const StepContext& context, const ComponentView& component) {
  const auto& workload = *component.view->workload;
  const std::string& namespace_ = context.draft.meta.namespace_;
  const std::string setsBack = " and may set image and replicas back; ";
  if (const std::string app = argoApplication(workload); !app.empty()) {
    const auto cut = app.find('_');
    const std::string name = cut == std::string::npos ? app : app.substr(cut + 1);
    const std::string where = cut == std::string::npos ? "argocd" : app.substr(0, cut);
    return refuse(
        "SelfHealed",
        component.key() + " belongs to the Argo CD Application " + name + setsBack +
            "whether it heals itself cannot be seen from here. Turn automated sync off (or commit the target version "
            "first)" +
            kThen,
        "kubectl patch application " + name + " -n " + where +
            " --type json -p '[{\"op\": \"remove\", \"path\": \"/spec/syncPolicy/automated\"}]'");
  }
  if (const auto name = valueOf(workload.meta.labels, "kustomize.toolkit.fluxcd.io/name");
      !name.empty() && valueOf(workload.meta.annotations, "kustomize.toolkit.fluxcd.io/reconcile") != "disabled")
    return refuse("SelfHealed",
                  component.key() + " belongs to the Flux Kustomization " + name +
                      " and would be set back; take the object out of its care until Git asks for the target version",
                  "kubectl annotate " + component.key() + " -n " + namespace_ +
                      " kustomize.toolkit.fluxcd.io/reconcile=disabled");
  if (const auto name = valueOf(workload.meta.labels, "helm.toolkit.fluxcd.io/name"); !name.empty()) {
    const auto where = valueOf(workload.meta.labels, "helm.toolkit.fluxcd.io/namespace");
    return refuse("SelfHealed",
                  component.key() + " belongs to the Flux HelmRelease " + name + setsBack + "suspend it" + kThen,
                  "kubectl patch helmrelease " + name + " -n " + (where.empty() ? namespace_ : where) +
                      " --type merge -p '{\"spec\": {\"suspend\": true}}'");
  }
  for (const auto& owner : workload.meta.ownerReferences)
    if (owner.controller)
      return refuse("SelfHealed",
                    component.key() + " is kept by " + owner.kind + " " + owner.name + setsBack +
                        "pause what controls it" + kThen,
                    "kubectl get " + component.key() + " -n " + namespace_ + " -o yaml --show-managed-fields");
  return std::nullopt;
}

}  // namespace

std::optional<StepResult> refuseOtherWriters(const StepContext& context) {
  if (context.draft.spec.acceptOtherWriters) return std::nullopt;
  for (const auto& component : context.components()) {
    if (!component.view->workload) continue;
    if (auto refused = refuseScaler(context, component)) return refused;
    if (auto refused = refuseHealer(context, component)) return refused;
  }
  return std::nullopt;
}

std::vector<api::PlannedWriter> otherWriters(const StepContext& context) {
  std::vector<api::PlannedWriter> out;
  for (const auto& component : context.components()) {
    if (!component.view->workload) continue;
    const auto* container = component.container();
    for (const auto& owner : component.view->workload->fieldOwners) {
      if (owner.manager == api::kFieldManager) continue;
      const bool cron = component.view->workload->isCronJob();
      if (owner.replicas) out.push_back({component.key(), cron ? "spec.suspend" : "spec.replicas", owner.manager});
      for (const auto& image : owner.images)
        if (container && image == container->name) out.push_back({component.key(), "image of " + image, owner.manager});
    }
  }
  return out;
}

}  // namespace rollback::reconcilers
