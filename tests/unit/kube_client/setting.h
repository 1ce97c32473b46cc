// Loads credentials in a made-up process: its environment, files, clock, transports and plugins.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fakes.h"
#include "material.h"

namespace rollback::kube::fakes {

struct Setting {
  FakeClock clock;
  material::Directory directory;
  std::map<std::string, std::string> environment;
  CredentialsOptions options;
  std::vector<http::TransportConfig> made;  // one per transport that was asked for
  std::vector<std::shared_ptr<ScriptedTransport>> transports;
  std::vector<PluginCommand> runs;
  std::function<Result<std::string>(const PluginCommand&)> plugin;

  Setting() {
    options.environment = [this](const char* name) {
      const auto found = environment.find(name);
      return found == environment.end() ? std::string() : found->second;
    };
    options.makeTransport = [this](const http::TransportConfig& config) -> Result<std::shared_ptr<http::Transport>> {
      made.push_back(config);
      transports.push_back(std::make_shared<ScriptedTransport>(clock));
      return std::shared_ptr<http::Transport>(transports.back());
    };
    options.runPlugin = [this](const PluginCommand& command) -> Result<std::string> {
      runs.push_back(command);
      return plugin ? plugin(command) : Error{ErrorCode::NotFound, "no such program"};
    };
    options.serviceAccountDirectory = directory / "sa";
  }

  Result<std::shared_ptr<Credentials>> load() { return loadCredentials(options, clock); }

  // A kubeconfig with one context out of the members of its cluster and user.
  Result<std::shared_ptr<Credentials>> loadConfig(const std::string& cluster, const std::string& user,
                                                  const std::string& context = "") {
    options.kubeconfig = directory.write("config", config("c", cluster, user, context));
    return load();
  }
  static std::string config(const std::string& name, const std::string& cluster, const std::string& user,
                            const std::string& context = "") {
    return "apiVersion: v1\nkind: Config\ncurrent-context: " + name + "\ncontexts:\n- name: " + name +
           "\n  context: {cluster: " + name + ", user: " + name + (context.empty() ? "" : ", " + context) +
           "}\nclusters:\n- name: " + name + "\n  cluster: {" + cluster + "}\nusers:\n- name: " + name + "\n  user: {" +
           user + "}\n";
  }
};

}  // namespace rollback::kube::fakes
