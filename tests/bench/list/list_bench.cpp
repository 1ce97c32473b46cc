// A list of Deployments, cut and projected as the reflector does it, beside the same list as one nlohmann DOM:
// throughput and peak memory, in one run on the same bytes. What it prints goes into RESULTS.md with the command.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "json/projection.h"
#include "json/splitter.h"

namespace {

// About 8 KB, most of it what a cache has no use for.
std::string deployment(int i) {
  nlohmann::json container = {
      {"name", "app"}, {"image", "registry.example/app:1." + std::to_string(i)}, {"env", nlohmann::json::array()}};
  for (int e = 0; e < 40; ++e)
    container["env"].push_back({{"name", "SETTING_" + std::to_string(e)}, {"value", std::string(60, 'v')}});
  nlohmann::json fields = nlohmann::json::object();
  for (int f = 0; f < 60; ++f) fields["f:field" + std::to_string(f)] = {{"f:nested", nlohmann::json::object()}};
  const nlohmann::json out = {
      {"metadata",
       {{"name", "app-" + std::to_string(i)},
        {"namespace", "team-" + std::to_string(i % 100)},
        {"uid", "00000000-0000-0000-0000-" + std::to_string(100000000000 + i)},
        {"resourceVersion", std::to_string(1000 + i)},
        {"labels", {{"app", "app-" + std::to_string(i)}}},
        {"managedFields", nlohmann::json::array({{{"manager", "kubectl"}, {"fieldsV1", fields}}})}}},
      {"spec", {{"replicas", 2}, {"template", {{"spec", {{"containers", nlohmann::json::array({container})}}}}}}}};
  return out.dump();
}

long peakKilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

double seconds(std::chrono::steady_clock::time_point from) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 10000;
  std::string list = R"({"kind":"DeploymentList","apiVersion":"apps/v1","metadata":{"resourceVersion":"1"},"items":[)";
  for (int i = 0; i < count; ++i) list += (i ? "," : "") + deployment(i);
  list += "]}";
  const double megabytes = static_cast<double>(list.size()) / 1e6;
  const long before = peakKilobytes();

  struct Kept {
    std::string name, space, uid, version;
  };
  std::vector<Kept> kept;
  static const rollback::json::Projection projection(
      {"metadata.name", "metadata.namespace", "metadata.uid", "metadata.resourceVersion"});
  const auto start = std::chrono::steady_clock::now();
  rollback::json::ItemSplitter split([&](std::string_view item) -> rollback::Result<void> {
    Kept one;
    auto decoded = projection.decode(
        item, [&](std::size_t path, const std::vector<std::string>&, const rollback::json::Value& value) {
          std::string* fields[] = {&one.name, &one.space, &one.uid, &one.version};
          *fields[path] = value.text;
        });
    if (!decoded) return decoded;
    kept.push_back(std::move(one));
    return {};
  });
  for (std::size_t at = 0; at < list.size(); at += 65536)
    if (!split.feed(std::string_view(list).substr(at, 65536))) return 1;
  if (!split.finish() || kept.size() != static_cast<std::size_t>(count)) return 1;
  const double ours = seconds(start);
  const long afterOurs = peakKilobytes();

  const auto startDom = std::chrono::steady_clock::now();
  const auto dom = nlohmann::json::parse(list);
  const double theirs = seconds(startDom);
  const long afterDom = peakKilobytes();

  std::printf("%d Deployments, %.0f MB\n", count, megabytes);
  std::printf("split and projected  %6.2f s  %5.0f MB/s  %7.1f MB more memory, %zu kept\n", ours, megabytes / ours,
              static_cast<double>(afterOurs - before) / 1024.0, kept.size());
  std::printf("one nlohmann DOM     %6.2f s  %5.0f MB/s  %7.1f MB more memory, %zu kept\n", theirs, megabytes / theirs,
              static_cast<double>(afterDom - afterOurs) / 1024.0, dom["items"].size());
  return 0;
}
