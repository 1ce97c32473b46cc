#include "manager/options.h"

#include <unistd.h>

#include <array>
#include <cstdlib>

namespace rollback::manager {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before threads are started
  return value ? value : "";
}

std::string hostname() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : std::string("rollback-operator");
}

}  // namespace

const char* usage() {
  return "usage: rollback-operator [flags]\n"
         "  --mover-image IMAGE        image with /rollback-mover for the init container of Jobs ($MOVER_IMAGE)\n"
         "  --image-pull-policy P      of the containers of Jobs (IfNotPresent)\n"
         "  --kubeconfig FILE          default: $KUBECONFIG, else in-cluster\n"
         "  --leader-elect=BOOL        default true\n"
         "  --lease-namespace NS       of the Lease framework-rollback-operator ($POD_NAMESPACE)\n"
         "  --metrics-addr ADDR        default :8080, empty: off\n"
         "  --probe-addr ADDR          default :8081, empty: off\n"
         "  --workers N                reconciles at once per kind (4)\n"
         "  --log-format text|json     default json\n"
         "  --log-level debug|info|warn|error\n";
}

Result<Options> parseOptions(const std::vector<std::string>& arguments) {
  Options out;
  out.moverImage = environment("MOVER_IMAGE");
  out.leaseNamespace = environment("POD_NAMESPACE");
  out.instance = environment("POD_NAME");
  if (out.instance.empty()) out.instance = hostname();
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string flag = arguments[i], value;
    if (flag == "--help" || flag == "-h") {
      out.help = true;
      return out;
    }
    if (const auto equals = flag.find('='); equals != std::string::npos) {
      value = flag.substr(equals + 1);
      flag.resize(equals);
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      return Error{ErrorCode::BadInput, "flag " + flag + " needs a value"};
    }
    if (flag == "--mover-image")
      out.moverImage = value;
    else if (flag == "--image-pull-policy")
      out.imagePullPolicy = value;
    else if (flag == "--kubeconfig")
      out.kubeconfig = value;
    else if (flag == "--lease-namespace")
      out.leaseNamespace = value;
    else if (flag == "--metrics-addr")
      out.metricsAddress = value;
    else if (flag == "--probe-addr")
      out.healthAddress = value;
    else if (flag == "--log-format")
      out.logFormat = value;
    else if (flag == "--log-level")
      out.logLevel = value;
    else if (flag == "--leader-elect") {
      if (value != "true" && value != "false")
        return Error{ErrorCode::BadInput, "flag --leader-elect takes true or false, not \"" + value + "\""};
      out.leaderElection = value == "true";
    } else if (flag == "--workers") {
      out.workers = std::atoi(value.c_str());
      if (out.workers < 1 || out.workers > 64)
        return Error{ErrorCode::BadInput, "flag --workers takes a number from 1 to 64, not \"" + value + "\""};
    } else {
      return Error{ErrorCode::BadInput, "unknown flag " + flag};
    }
  }
  if (out.moverImage.empty())
    return Error{ErrorCode::BadInput, "the mover's image is not known: set --mover-image or $MOVER_IMAGE"};
  if (out.imagePullPolicy != "IfNotPresent" && out.imagePullPolicy != "Always" && out.imagePullPolicy != "Never")
    return Error{ErrorCode::BadInput,
                 "flag --image-pull-policy takes IfNotPresent, Always or Never, not \"" + out.imagePullPolicy + "\""};
  return out;
}

}  // namespace rollback::manager
