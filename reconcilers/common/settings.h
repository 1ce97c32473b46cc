// What the operator's own configuration tells every reconciler.
#pragma once

#include <string>

namespace rollback::reconcilers {

struct Settings {
  std::string moverImage;  // the init container that brings rollback-mover
  std::string imagePullPolicy = "IfNotPresent";
};

}  // namespace rollback::reconcilers
