#include "mover/database_settings.h"

#include <array>
#include <cctype>
#include <set>

#include "mover/outcome.h"
#include "mover/quoting.h"

namespace rollback::mover {
namespace {

Error notUnderstood(const std::string& what) {
  return problem(ErrorCode::BadInput, "ManifestUnsupported", what + " of the backup's database is not understood");
}

// Settings whose value is a list of names: quoted one by one, or the whole list becomes one name
// (variable_is_guc_list_quote in PostgreSQL's src/bin/pg_dump/dumputils.c).
bool isNameList(const std::string& setting) {
  static constexpr std::array<const char*, 6> kLists = {"local_preload_libraries",   "search_path",
                                                        "session_preload_libraries", "shared_preload_libraries",
                                                        "temp_tablespaces",          "unix_socket_directories"};
  for (const char* list : kLists)
    if (setting == list) return true;
  return false;
}

const char* privilegeName(char letter) {
  switch (letter) {
    case 'C':
      return "create";
    case 'c':
      return "connect";
    case 'T':
      return "temporary";
    default:
      return nullptr;
  }
}

// A name in an aclitem: quoted if it holds anything but letters, digits and underscores.
bool takeName(const std::string& text, std::size_t& at, const char* ends, std::string& out) {
  if (at < text.size() && text[at] == '"') {
    for (++at; at < text.size(); ++at) {
      if (text[at] == '"') {
        if (at + 1 >= text.size() || text[at + 1] != '"') return ++at, true;
        ++at;
      }
      out += text[at];
    }
    return false;
  }
  while (at < text.size() && std::string(ends).find(text[at]) == std::string::npos) out += text[at++];
  return true;
}

Result<void> settingStatements(const DatabaseRecord& record, const std::string& target, std::vector<std::string>& out) {
  for (const auto& setting : record.settings) {
    for (const auto& pair : setting.config) {
      const std::size_t equals = pair.find('=');
      if (equals == std::string::npos || equals == 0) return notUnderstood("setting \"" + pair + "\"");
      const std::string name = pair.substr(0, equals), value = pair.substr(equals + 1);
      std::string list;
      if (isNameList(name)) {
        for (const auto& element : splitNameList(value)) list += (list.empty() ? "" : ", ") + literal(element);
        if (list.empty()) list = "''";
      } else {
        list = literal(value);
      }
      // A custom setting is "extension.name": two identifiers.
      const std::size_t dot = name.find('.');
      const std::string quoted = dot == std::string::npos
                                     ? identifier(name)
                                     : identifier(name.substr(0, dot)) + "." + identifier(name.substr(dot + 1));
      out.push_back((setting.role.empty() ? "alter database " + target
                                          : "alter role " + identifier(setting.role) + " in database " + target) +
                    " set " + quoted + " to " + list);
    }
  }
  return {};
}

std::string privilegesText(const DatabaseRecord& record) {
  std::set<std::string> items;
  if (record.aclIsDefault) {
    items = {"=Tc/" + record.owner, record.owner + "=CTc/" + record.owner};
  } else {
    for (const auto& text : record.acl) {
      auto acl = parseAclItem(text);
      items.insert(acl ? acl->grantee + "=" + acl->privileges + "/" + acl->grantor : text);
    }
  }
  std::string out;
  for (const auto& item : items) out += (out.empty() ? "" : ", ") + item;
  return out;
}

std::string settingsText(const DatabaseRecord& record) {
  std::set<std::string> items;
  for (const auto& setting : record.settings)
    for (const auto& pair : setting.config) items.insert((setting.role.empty() ? "" : setting.role + ": ") + pair);
  std::string out;
  for (const auto& item : items) out += (out.empty() ? "" : ", ") + item;
  return out;
}

std::string extensionsText(const DatabaseRecord& record) {
  std::set<std::string> items;
  for (const auto& extension : record.extensions)
    items.insert(extension.name + " " + extension.version + " in " + extension.schema);
  std::string out;
  for (const auto& item : items) out += (out.empty() ? "" : ", ") + item;
  return out;
}

}  // namespace

std::vector<std::string> splitNameList(const std::string& value) {
  std::vector<std::string> out;
  std::size_t at = 0;
  const auto skip = [&] {
    while (at < value.size() && (std::isspace(static_cast<unsigned char>(value[at])) || value[at] == ',')) ++at;
  };
  for (skip(); at < value.size(); skip()) {
    std::string name;
    if (!takeName(value, at, ",", name)) break;
    while (!name.empty() && value[at - 1] != '"' && std::isspace(static_cast<unsigned char>(name.back())))
      name.pop_back();
    out.push_back(name);
  }
  return out;
}

Result<AclItem> parseAclItem(const std::string& text) {
  AclItem out;
  std::size_t at = 0;
  if (!takeName(text, at, "=", out.grantee) || at >= text.size() || text[at] != '=')
    return notUnderstood("privilege \"" + text + "\"");
  const std::size_t slash = text.find('/', ++at);
  if (slash == std::string::npos) return notUnderstood("privilege \"" + text + "\"");
  out.privileges = text.substr(at, slash - at);
  at = slash + 1;
  if (!takeName(text, at, "", out.grantor) || at != text.size()) return notUnderstood("privilege \"" + text + "\"");
  return out;
}

std::string createStatement(const DatabaseRecord& record, const std::string& name, int serverVersionNum) {
  std::string out = "create database " + identifier(name) + " with template template0";
  if (!record.owner.empty()) out += " owner " + identifier(record.owner);
  if (!record.encoding.empty()) out += " encoding " + literal(record.encoding);
  if (!record.collate.empty()) out += " lc_collate " + literal(record.collate);
  if (!record.ctype.empty()) out += " lc_ctype " + literal(record.ctype);
  if (serverVersionNum >= 150000) {
    if (record.provider == "i")
      out += " locale_provider icu icu_locale " + literal(record.icuLocale);
    else if (record.provider == "b")
      out += " locale_provider builtin builtin_locale " + literal(record.icuLocale);
    else
      out += " locale_provider libc";
  }
  // Naming the tablespace asks for a privilege on it, even on the one template0 is in.
  if (!record.tablespace.empty() && record.tablespace != "pg_default")
    out += " tablespace " + identifier(record.tablespace);
  return out;
}

Result<std::vector<std::string>> dressStatements(const DatabaseRecord& record, const std::string& name) {
  const std::string target = identifier(name);
  std::vector<std::string> out;
  if (auto ok = settingStatements(record, target, out); !ok) return ok.error();
  // From nothing, not from the defaults that were taken away when the shadow was made.
  out.push_back("revoke all on database " + target + " from public");
  if (record.aclIsDefault) {
    out.push_back("grant connect, temporary on database " + target + " to public");
  } else {
    out.push_back("revoke all on database " + target + " from " + identifier(record.owner));
    for (const auto& item : record.acl) {
      auto acl = parseAclItem(item);
      if (!acl) return acl.error();
      for (std::size_t i = 0; i < acl->privileges.size(); ++i) {
        const char* privilege = privilegeName(acl->privileges[i]);
        if (!privilege) return notUnderstood("privilege \"" + item + "\"");
        const bool grantable = i + 1 < acl->privileges.size() && acl->privileges[i + 1] == '*';
        if (grantable) ++i;
        out.push_back(std::string("grant ") + privilege + " on database " + target + " to " +
                      (acl->grantee.empty() ? "public" : identifier(acl->grantee)) +
                      (grantable ? " with grant option" : ""));
      }
    }
  }
  if (!record.comment.empty()) out.push_back("comment on database " + target + " is " + literal(record.comment));
  return out;
}

std::string connectionLimitStatement(const DatabaseRecord& record, const std::string& name) {
  return "alter database " + identifier(name) + " connection limit " + std::to_string(record.connectionLimit);
}

std::string databaseDifference(const DatabaseRecord& wanted, const DatabaseRecord& found) {
  const auto differ = [](const char* what, const std::string& a, const std::string& b) {
    return a == b ? std::string() : std::string(what) + " is \"" + b + "\", not \"" + a + "\"";
  };
  for (const auto& difference :
       {differ("owner", wanted.owner, found.owner), differ("encoding", wanted.encoding, found.encoding),
        differ("collation", wanted.collate, found.collate), differ("character type", wanted.ctype, found.ctype),
        differ("locale provider", wanted.provider, found.provider),
        differ("ICU locale", wanted.icuLocale, found.icuLocale),
        differ("tablespace", wanted.tablespace, found.tablespace), differ("comment", wanted.comment, found.comment),
        differ("connection limit", std::to_string(wanted.connectionLimit), std::to_string(found.connectionLimit)),
        differ("privileges", privilegesText(wanted), privilegesText(found)),
        differ("settings", settingsText(wanted), settingsText(found)),
        differ("extensions", extensionsText(wanted), extensionsText(found))})
    if (!difference.empty()) return difference;
  return {};
}

}  // namespace rollback::mover
