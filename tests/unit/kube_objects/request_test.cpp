// Requests as values: the path, query, method and description each becomes, and the ones that must never be sent.
#include "kube/objects/request.h"

#include <catch2/catch.hpp>

namespace rollback::kube {
namespace {

using namespace resources;

const Resource kRollbacks{"rollback.pa-ecosystem.io", "v1alpha1", "frameworkrollbacks", "FrameworkRollback", true};

TEST_CASE("a request becomes the path the API server serves it at") {
  struct Row {
    Request request;
    const char* method;
    const char* target;
  };
  Request log = get(kPods, "demo", "shop-0");
  log.subresource = "log";
  log.query = {{"container", "main"}, {"tailLines", "5"}};
  Request scale = patch(kDeployments, "demo", "shop", PatchType::Merge, "{}");
  scale.subresource = "scale";
  Request watched = list(kJobs, "");
  watched.verb = Verb::Watch;
  watched.query = {{"resourceVersion", "7"}};
  Request review = create(kSelfSubjectAccessReviews, "demo", "{}");

  const Row rows[] = {
      {get(kPods, "demo", "shop-0"), "GET", "/api/v1/namespaces/demo/pods/shop-0"},
      {log, "GET", "/api/v1/namespaces/demo/pods/shop-0/log?container=main&tailLines=5"},
      {get(kNamespaces, "", "demo"), "GET", "/api/v1/namespaces/demo"},
      {list(kPods, ""), "GET", "/api/v1/pods"},
      {list(kRollbacks, "demo"), "GET", "/apis/rollback.pa-ecosystem.io/v1alpha1/namespaces/demo/frameworkrollbacks"},
      {watched, "GET", "/apis/batch/v1/jobs?watch=true&resourceVersion=7"},
      {create(kJobs, "demo", "{}"), "POST", "/apis/batch/v1/namespaces/demo/jobs"},
      {review, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"},
      {scale, "PATCH", "/apis/apps/v1/namespaces/demo/deployments/shop/scale"},
      {updateStatus(kRollbacks, "demo", "r", "{}"), "PUT",
       "/apis/rollback.pa-ecosystem.io/v1alpha1/namespaces/demo/frameworkrollbacks/r/status"},
      {remove(kJobs, "demo", "j", "u", ""), "DELETE", "/apis/batch/v1/namespaces/demo/jobs/j"},
  };
  for (const Row& row : rows) {
    INFO(row.request.describe());
    CHECK(row.request.target() == row.target);
    CHECK(row.request.method() == std::string(row.method));
    CHECK(row.request.fault() == "");
  }
}

TEST_CASE("given characters with a meaning in URLs, when the target is built, then they are encoded") {
  CHECK(list(kPods, "demo", "app=shop,tier in (a, b)").target() ==
        "/api/v1/namespaces/demo/pods?labelSelector=app%3Dshop%2Ctier%20in%20%28a%2C%20b%29");
  Request next = list(kPods, "");
  next.query = {{"continue", "a+b/c==&d?#%"}, {"fieldSelector", "metadata.name=\xC3\xA4"}};
  CHECK(next.target() == "/api/v1/pods?continue=a%2Bb%2Fc%3D%3D%26d%3F%23%25&fieldSelector=metadata.name%3D%C3%A4");
  CHECK(get(kPods, "demo", "system:shop x").target() == "/api/v1/namespaces/demo/pods/system%3Ashop%20x");
  CHECK(get(kPods, "demo", "a-b_c.d~e").target() == "/api/v1/namespaces/demo/pods/a-b_c.d~e");
}

TEST_CASE("given a request that would mean something else than intended, then it has a fault") {
  Request impersonating = list(kPods, "");
  impersonating.asServiceAccount = "rollback-runner";
  Request named = create(kJobs, "demo", "{}");
  named.name = "job";
  Request listOne = list(kPods, "demo");
  listOne.name = "shop-0";

  const Request refused[] = {
      remove(kPods, "demo", "", "u", ""),  // would delete the collection
      get(kPods, "demo", ""),              // would list
      patch(kPods, "demo", "", PatchType::Merge, "{}"),
      updateStatus(kPods, "demo", "", "{}"),
      get(kPods, "", "shop-0"),  // no namespace
      create(kJobs, "", "{}"),
      get(kPods, "demo", ".."),  // would leave the collection
      get(kPods, "demo", "."),
      get(kPods, "demo", "a/b"),
      get(kPods, "demo/pods", "a"),
      get(kPods, "demo", "a%2Fb"),
      get(Resource{}, "demo", "a"),
      impersonating,
      named,
      listOne,
  };
  for (const Request& each : refused) {
    INFO(each.describe());
    CHECK(each.fault() != "");
  }
  CHECK(list(kPods, "").fault() == "");
  Request eviction = create(kPods, "demo", "{}");
  eviction.name = "shop-0";
  eviction.subresource = "eviction";
  CHECK(eviction.fault() == "");
}

TEST_CASE("a request is described by verb, resource and object, without its body or query") {
  Request scale = patch(kDeployments, "demo", "shop", PatchType::Merge, R"({"secret":"s3cret"})");
  scale.subresource = "scale";
  CHECK(scale.describe() == "PATCH deployments/scale demo/shop");
  CHECK(list(kPods, "demo", "app=x").describe() == "LIST pods demo");
  CHECK(list(kPods, "").describe() == "LIST pods");
  CHECK(get(kNamespaces, "", "demo").describe() == "GET namespaces demo");
  Request job = create(kJobs, "demo", "{}");
  job.asServiceAccount = "rollback-runner";
  CHECK(job.describe() == "CREATE jobs demo as ServiceAccount demo/rollback-runner");
}

TEST_CASE("only get, list and watch do not mutate") {
  for (const Verb verb : {Verb::Get, Verb::List, Verb::Watch, Verb::Create, Verb::Update, Verb::Patch, Verb::Delete}) {
    Request request;
    request.verb = verb;
    const bool reads = verb == Verb::Get || verb == Verb::List || verb == Verb::Watch;
    CHECK(request.mutates() == !reads);
  }
}

TEST_CASE("given a delete, then its preconditions aim it at one incarnation") {
  CHECK(
      remove(kJobs, "demo", "j", "u-1", "42").body ==
      R"({"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"resourceVersion":"42","uid":"u-1"},"propagationPolicy":"Background"})");
  // An unknown uid still aims: at nobody.
  CHECK(remove(kJobs, "demo", "j", "", "").body ==
        R"({"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"uid":""},"propagationPolicy":"Background"})");
}

TEST_CASE("a resource of the core group has a bare apiVersion") {
  CHECK(kPods.apiVersion() == "v1");
  CHECK(kJobs.apiVersion() == "batch/v1");
  CHECK(kLeases.apiVersion() == "coordination.k8s.io/v1");
  CHECK(kEvents.apiVersion() == "events.k8s.io/v1");
}

}  // namespace
}  // namespace rollback::kube
