// The images of a framework's components: set, compared with what they should be, and named.
#include "rollback/field_writes.h"
#include "rollback/steps.h"
#include "rollback/workload_requests.h"

namespace rollback::reconcilers {

StepResult setImages(StepContext& context, const std::string& recordName,
                     const std::vector<std::pair<std::string, std::string>>& images, bool whole) {
  FieldWrites writes;
  for (const auto& component : context.components()) {
    const std::string wanted = imageIn(images, component.component->name);
    if (wanted.empty()) continue;
    if (!component.view->workload || !component.container()) {
      if (whole) continue;
      return StepResult::fail("WorkloadMissing", component.key() + " of component " + component.component->name +
                                                     " is gone; re-create it at 0 replicas");
    }
    if (component.container()->image == wanted) continue;
    if (component.view->workload->replicas != 0)
      return StepResult::fail("NotQuiesced", component.key() + " was started again while it had to rest");
    writes.add(component, setImage(*component.view->workload, component.container()->name, wanted));
  }
  if (writes.empty()) return StepResult::done();
  return writes.send(context, recordName, "setting the image:", "ImageContested",
                     "the image of " + writes.last() + " is set back each time it is changed");
}

std::vector<std::pair<std::string, std::string>> imagesAtLock(const StepContext& context) {
  std::vector<std::pair<std::string, std::string>> out;
  if (const auto* lock = context.lock())
    for (const auto& resume : lock->components) out.emplace_back(resume.name, resume.image);
  return out;
}

std::string recreateWith(const std::vector<std::pair<std::string, std::string>>& images, const std::string& component) {
  const std::string image = imageIn(images, component);
  return image.empty() ? "" : ": re-create it with image " + image;
}

std::string imagesSetMeanwhile(const StepContext& context,
                               const std::vector<std::pair<std::string, std::string>>& images) {
  std::string out;
  for (const auto& component : context.components()) {
    const std::string image = imageIn(images, component.component->name);
    if (!image.empty() && component.container() && component.container()->image != image)
      out += ", but " + component.key() + " runs " + component.container()->image + ", which somebody set meanwhile";
  }
  return out;
}

}  // namespace rollback::reconcilers
