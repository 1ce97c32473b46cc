// The components of a Framework joined with what its class says of them and with their workloads.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "api/framework.h"
#include "api/framework_class.h"
#include "common/snapshot.h"
#include "kube/objects/workloads.h"

namespace rollback::reconcilers {

// One component of the framework, joined with its workload. Points into the Framework, the class and the snapshot it
// was made from, which must outlive it.
struct ComponentView {
  const api::FrameworkComponent* component = nullptr;
  const api::Component* described = nullptr;  // by the class; nullptr if the class does not know it
  const WorkloadView* view = nullptr;         // never null; view->workload may be absent

  std::string key() const { return component->workloadKind + "/" + component->workloadName; }
  // The container that carries the version; nullptr if the workload or the container is missing.
  const kube::Container* container() const;
  // What that container's image is in the pods that run it: image of the template, and the imageID all of them report
  // ("" if none runs, none reports one, or they differ).
  std::string imageId() const;
};

// In start order: the class's order, each component after those it depends on; what the class does not know comes last,
// and after it all CronJobs. The first one's image says the version of the framework.
std::vector<ComponentView> componentsInStartOrder(const NamespaceSnapshot& ns, const api::FrameworkSpec& framework,
                                                  const api::FrameworkClassSpec& frameworkClass);

// `image`, with the digest behind it that `imageId` names, if a registry can serve it ("repo@sha256:…"; an image that
// was imported into the node has a bare "sha256:…", which nobody can pull).
std::string pinned(const std::string& image, const std::string& imageId);

// The same images of the same components, as far as both sides say: a digest is only known while pods run.
bool sameImages(const std::vector<std::pair<std::string, std::string>>& a,
                const std::vector<std::pair<std::string, std::string>>& b);

// Whether the components still run these images and no other beside; how many replicas are ready does not matter.
bool runImages(const std::vector<ComponentView>& components,
               const std::vector<std::pair<std::string, std::string>>& images);

// Why the components do not run one known version, all of it: a workload or container that is missing, a rollout that
// is not complete, pods of two images, an image of the first one's repository and of another release. Empty: settled.
// A workload at 0 replicas is settled.
std::string unsettled(const std::vector<ComponentView>& components);

// Component → image as the pods run it, pinned. Meaningful while unsettled() is empty.
std::vector<std::pair<std::string, std::string>> imagesOf(const std::vector<ComponentView>& components);

// What a list of component → image says of a component; empty: nothing.
std::string imageIn(const std::vector<std::pair<std::string, std::string>>& images, const std::string& component);

}  // namespace rollback::reconcilers
