// Whom the transport trusts, and as whom it appears.
#include <catch2/catch.hpp>

#include "peer.h"
#include "setting.h"

using namespace rollback;
using namespace rollback::http;
using namespace rollback::http::testing;

namespace {

// A server that answers everything with the name the client's certificate gave, and remembers the Host it was asked
// for.
struct NamingPeer {
  std::string host;
  Peer peer;

  explicit NamingPeer(const PeerTls& tls)
      : peer(
            [this](Conversation& with, int) {
              while (const auto asked = with.read()) {
                host = asked->headers.at("host");
                with.answer(200, with.clientName());
              }
            },
            tls) {}
};

TransportConfig to(const Peer& peer, const std::string& caPem) {
  TransportConfig config;
  config.origin = peer.origin();
  config.tls.caPem = caPem;
  return config;
}

Result<Response> ask(const TransportConfig& config) {
  return transportTo(config)->send(Request{"POST", "/a", {}, "{}"}, ample(), CancelToken{});
}

}  // namespace

TEST_CASE("given the authority of the server, when asked, then it answers") {
  const Identity authority = makeAuthority("ours");
  const Identity other = makeAuthority("other");
  NamingPeer server({issue(authority, "peer", "IP:127.0.0.1"), ""});
  const bool beside = GENERATE(false, true);  // another in the same file
  const auto answer = ask(to(server.peer, (beside ? other.certificatePem : "") + authority.certificatePem));
  REQUIRE(answer.ok());
  CHECK(answer->body.empty());
}

TEST_CASE("given another authority of the same name, or none, when asked, then Tls and nothing is sent") {
  const Identity authority = makeAuthority("ours");
  const std::string caPem = GENERATE(true, false) ? makeAuthority("ours").certificatePem : "";
  NamingPeer server({issue(authority, "peer", "IP:127.0.0.1"), ""});
  const auto answer = ask(to(server.peer, caPem));
  REQUIRE_FALSE(answer.ok());
  INFO(answer.error().message);
  CHECK(answer.error().code == ErrorCode::Tls);
  CHECK(server.host.empty());
}

TEST_CASE("given a certificate for another name, when asked, then Tls") {
  const Identity authority = makeAuthority("ours");
  // The last: its common name would do, but it has alternative names, and those alone count.
  const auto names = GENERATE(std::pair("peer", "DNS:elsewhere"), std::pair("peer", "IP:127.0.0.2"),
                              std::pair("peer", ""), std::pair("127.0.0.1", "DNS:elsewhere"));
  NamingPeer server({issue(authority, names.first, names.second), ""});
  const auto answer = ask(to(server.peer, authority.certificatePem));
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == ErrorCode::Tls);
  CHECK(server.host.empty());
}

TEST_CASE("given a server name, when asked, then the certificate must bear it instead of the address") {
  const Identity authority = makeAuthority("ours");
  NamingPeer named({issue(authority, "peer", "DNS:api.internal"), ""});
  NamingPeer addressed({issue(authority, "peer", "IP:127.0.0.1"), ""});
  TransportConfig config = to(named.peer, authority.certificatePem);
  config.tls.serverName = "api.internal";
  CHECK(ask(config).ok());
  CHECK(named.host == "api.internal");
  config.origin = addressed.peer.origin();
  const auto answer = ask(config);
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == ErrorCode::Tls);
}

TEST_CASE("given insecureSkipVerify, when asked, then any certificate will do") {
  NamingPeer server({issue(makeAuthority("theirs"), "peer", "DNS:elsewhere"), ""});
  TransportConfig config = to(server.peer, "");
  config.tls.insecureSkipVerify = true;
  CHECK(ask(config).ok());
}

TEST_CASE("given a server that demands a client certificate, when asked with one, then it knows our name") {
  const Identity authority = makeAuthority("ours");
  NamingPeer server({issue(authority, "peer", "IP:127.0.0.1"), authority.certificatePem});
  TransportConfig config = to(server.peer, authority.certificatePem);
  const Identity us = issue(authority, "rollback-operator", "");
  config.tls.certificatePem = us.certificatePem;
  config.tls.keyPem = us.keyPem;
  const auto answer = ask(config);
  REQUIRE(answer.ok());
  CHECK(answer->body == "rollback-operator");
}

TEST_CASE("given a server that demands a client certificate, when asked without, then an error") {
  const Identity authority = makeAuthority("ours");
  NamingPeer server({issue(authority, "peer", "IP:127.0.0.1"), authority.certificatePem});
  const auto answer = ask(to(server.peer, authority.certificatePem));
  REQUIRE_FALSE(answer.ok());
  CHECK(server.host.empty());
}

TEST_CASE("given a plain server, when TLS is spoken to it, then an error that says nothing was sent") {
  Peer peer([](Conversation& with, int) {
    with.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    with.waitForClient();
  });
  TransportConfig config;
  config.origin = "https://127.0.0.1:" + std::to_string(peer.port());
  const auto answer = ask(config);
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == ErrorCode::Tls);
  CHECK_THAT(answer.error().message, Catch::Contains("nothing was sent"));
}

TEST_CASE("given a server that hangs up in the handshake, when asked, then Unavailable") {
  Peer peer([](Conversation&, int) {});
  TransportConfig config;
  config.origin = "https://127.0.0.1:" + std::to_string(peer.port());
  const auto answer = ask(config);
  REQUIRE_FALSE(answer.ok());
  INFO(answer.error().message);
  CHECK(answer.error().code == ErrorCode::Unavailable);
}

TEST_CASE("given TLS material that is none, when a transport is made, then BadInput that says which") {
  const Identity authority = makeAuthority("ours");
  const Identity us = issue(authority, "us", "");
  const Identity them = issue(authority, "them", "");
  const std::string half = authority.certificatePem.substr(0, authority.certificatePem.size() / 2);
  TransportConfig config;
  config.origin = "https://127.0.0.1:6443";
  std::string named;
  const auto refused = [&](const TlsConfig& tls, const std::string& which) {
    config.tls = tls;
    const auto made = makeTransport(config, systemClock());
    REQUIRE_FALSE(made.ok());
    CHECK(made.error().code == ErrorCode::BadInput);
    CHECK_THAT(made.error().message, Catch::Contains(which));
  };
  refused({"no PEM", "", "", "", false}, "certificate authority");
  refused({half, "", "", "", false}, "certificate authority");
  refused({authority.certificatePem + half, "", "", "", false}, "certificate authority");
  refused({"", us.certificatePem, "", "", false}, "both or neither");
  refused({"", "", us.keyPem, "", false}, "both or neither");
  refused({"", "no PEM", us.keyPem, "", false}, "client certificate");
  refused({"", us.certificatePem, "no PEM", "", false}, "client key");
  refused({"", us.certificatePem, them.keyPem, "", false}, "client key");
  refused({"", "", "", "api\r\nX: y", false}, "server name");
}
