#include "common/components.h"

#include <algorithm>
#include <set>

#include "common/version.h"

namespace rollback::reconcilers {
namespace {

const WorkloadView& noWorkload() {
  static const WorkloadView none;
  return none;
}

// The imageIDs that pods which still run report for a container.
std::set<std::string> imageIds(const ComponentView& component) {
  std::set<std::string> ids;
  const kube::Container* container = component.container();
  // What a run of a CronJob has may be older than its template.
  if (!container || component.view->workload->isCronJob()) return ids;
  for (const auto& pod : component.view->pods) {
    if (pod.ended()) continue;
    for (const auto& status : pod.containers)
      if (status.name == container->name && !status.imageID.empty()) ids.insert(status.imageID);
  }
  return ids;
}

}  // namespace

const kube::Container* ComponentView::container() const {
  if (!view->workload) return nullptr;
  if (!component->container.empty()) return view->workload->container(component->container);
  return view->workload->containers.size() == 1 ? &view->workload->containers.front() : nullptr;
}

std::string ComponentView::imageId() const {
  const auto ids = imageIds(*this);
  return ids.size() == 1 ? *ids.begin() : std::string();
}

std::vector<ComponentView> componentsInStartOrder(const NamespaceSnapshot& ns, const api::FrameworkSpec& framework,
                                                  const api::FrameworkClassSpec& frameworkClass) {
  std::vector<ComponentView> views;
  for (const auto& component : framework.components) {
    ComponentView view;
    view.component = &component;
    for (const auto& described : frameworkClass.components)
      if (described.name == component.name) view.described = &described;
    view.view = ns.workload(component.workloadKind, component.workloadName);
    if (!view.view) view.view = &noWorkload();
    views.push_back(view);
  }
  const auto position = [&](const ComponentView& view) {
    return view.described ? view.described - frameworkClass.components.data()
                          : static_cast<std::ptrdiff_t>(frameworkClass.components.size());
  };
  std::stable_sort(views.begin(), views.end(), [&](const auto& a, const auto& b) { return position(a) < position(b); });
  std::vector<ComponentView> ordered;
  std::set<std::string> placed;
  std::set<std::string> present;
  for (const auto& view : views) present.insert(view.component->name);
  while (ordered.size() < views.size()) {
    const std::size_t before = ordered.size();
    for (const auto& view : views) {
      if (placed.count(view.component->name)) continue;
      const bool ready =
          !view.described || std::all_of(view.described->dependsOn.begin(), view.described->dependsOn.end(),
                                         [&](const std::string& d) { return placed.count(d) || !present.count(d); });
      if (!ready) continue;
      ordered.push_back(view);
      placed.insert(view.component->name);
    }
    if (ordered.size() == before) {  // a cycle, or a name twice: the class's order decides for the rest
      for (const auto& view : views)
        if (placed.insert(view.component->name).second) ordered.push_back(view);
      break;
    }
  }
  std::stable_partition(ordered.begin(), ordered.end(),
                        [](const ComponentView& view) { return view.component->workloadKind != "CronJob"; });
  return ordered;
}

std::string pinned(const std::string& image, const std::string& imageId) {
  const auto at = imageId.find("@sha256:");
  if (at == std::string::npos || at == 0 || image.find('@') != std::string::npos) return image;
  return image + imageId.substr(at);
}

namespace {

bool sameImage(const std::string& a, const std::string& b) {
  const auto at = a.find('@'), bt = b.find('@');
  if (a.substr(0, at) != b.substr(0, bt)) return false;
  return at == std::string::npos || bt == std::string::npos || a.substr(at) == b.substr(bt);
}

}  // namespace

bool sameImages(const std::vector<std::pair<std::string, std::string>>& a,
                const std::vector<std::pair<std::string, std::string>>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) {
           return x.first == y.first && sameImage(x.second, y.second);
         });
}

bool runImages(const std::vector<ComponentView>& components,
               const std::vector<std::pair<std::string, std::string>>& images) {
  return sameImages(imagesOf(components), images) &&
         std::none_of(components.begin(), components.end(),
                      [](const ComponentView& component) { return imageIds(component).size() > 1; });
}

std::string unsettled(const std::vector<ComponentView>& components) {
  for (const auto& component : components) {
    const std::string what = component.key() + " of component " + component.component->name;
    if (!component.view->workload) return what + " does not exist";
    if (!component.container())
      return what + (component.component->container.empty()
                         ? " has more than one container: name one in components[].container"
                         : " has no container " + component.component->container);
    const auto& workload = *component.view->workload;
    if (!workload.rolledOut())
      return what + " is rolling out: " + std::to_string(workload.updatedReplicas) + " of " +
             std::to_string(workload.replicas) + " replicas are updated, " + std::to_string(workload.readyReplicas) +
             " ready";
    if (imageIds(component).size() > 1) return what + " has pods that run different images";
  }
  for (const auto& component : components) {
    const std::string &image = component.container()->image, &first = components.front().container()->image;
    if (component.view->workload->replicas == 0 || repositoryOf(image) != repositoryOf(first) ||
        !differentReleases(versionOf(image), versionOf(first)))
      continue;
    return component.key() + " of component " + component.component->name + " runs " + versionOf(image) + " beside " +
           versionOf(first) + " of " + components.front().key() + "; to bring it to the same: kubectl set image " +
           component.key() + " " + component.container()->name + "=" + withTag(image, versionOf(first)) + " -n " +
           component.view->workload->meta.namespace_;
  }
  return {};
}

std::vector<std::pair<std::string, std::string>> imagesOf(const std::vector<ComponentView>& components) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& component : components)
    if (const auto* container = component.container())
      out.emplace_back(component.component->name, pinned(container->image, component.imageId()));
  return out;
}

std::string imageIn(const std::vector<std::pair<std::string, std::string>>& images, const std::string& component) {
  for (const auto& [name, image] : images)
    if (name == component) return image;
  return {};
}

}  // namespace rollback::reconcilers
