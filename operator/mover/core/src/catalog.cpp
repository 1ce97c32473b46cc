// Structure and owners as lines of text. What is compared, and how defaults are spelled out, is all in these queries.
#include <algorithm>
#include <array>

#include "mover/content.h"
#include "mover/normalise.h"
#include "mover/outcome.h"

namespace rollback::mover {
namespace {

// Schemas of the application. Schemas whose names begin with pg_ are the system's (CREATE SCHEMA refuses such names).
constexpr char kSchemas[] =
    "ns as (select oid, nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema')";

// Answers two columns: text taken as it is, and an expression that is normalised.
const std::array<const char*, 6> kStructure = {
    // Relations: kind, persistence, partitioning.
    R"(select 'relation ' || format('%I.%I', ns.nspname, c.relname) || ' ' || c.relkind::text || ' ' || c.relpersistence::text,
       coalesce(pg_get_partkeydef(c.oid), '') || ' ' || coalesce(pg_get_expr(c.relpartbound, c.oid), '')
from pg_class c join ns on ns.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't'
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'))",
    R"(select 'column ' || format('%I.%I.%I', ns.nspname, c.relname, a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
       || case when a.attnotnull then ' not null' else '' end || ' ' || a.attidentity::text || ' ' || a.attgenerated::text
       || coalesce((select ' ' || l.collname from pg_collation l where l.oid = a.attcollation and l.collname <> 'default'), ''),
       coalesce((select pg_get_expr(f.adbin, f.adrelid) from pg_attrdef f where f.adrelid = a.attrelid and f.adnum = a.attnum), '')
from pg_attribute a join pg_class c on c.oid = a.attrelid join ns on ns.oid = c.relnamespace
where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c') and c.relpersistence <> 't'
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  and not exists (select from pg_depend d join pg_type t on d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e' where t.typrelid = c.oid))",
    R"(select 'constraint ' || coalesce(quote_ident(ns.nspname) || '.' || quote_ident(c.relname), quote_ident(tn.nspname) || '.' || quote_ident(t.typname)) || ' ' || quote_ident(k.conname),
       pg_get_constraintdef(k.oid)
from pg_constraint k left join pg_class c on c.oid = k.conrelid and c.relpersistence <> 't' left join ns on ns.oid = c.relnamespace
left join pg_type t on t.oid = k.contypid left join ns tn on tn.oid = t.typnamespace
where k.contype in ('c', 'f', 'p', 'u', 'x') and (ns.oid is not null or tn.oid is not null)
  and not exists (select from pg_depend d where d.deptype = 'e' and ((d.classid = 'pg_class'::regclass and d.objid = c.oid)
                  or (d.classid = 'pg_type'::regclass and d.objid = t.oid))))",
    // Indexes that are not valid are not dumped.
    R"(select 'index ' || format('%I.%I', ns.nspname, c.relname), pg_get_indexdef(i.indexrelid)
from pg_index i join pg_class c on c.oid = i.indexrelid join ns on ns.oid = c.relnamespace join pg_class t on t.oid = i.indrelid
where (i.indisvalid or t.relkind = 'p') and c.relpersistence <> 't'
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = t.oid and d.deptype = 'e'))",
    R"(select 'type ' || format('%I.%I', ns.nspname, t.typname) || ' ' || t.typtype::text
       || coalesce((select ' (' || string_agg(quote_literal(e.enumlabel), ',' order by e.enumsortorder) || ')' from pg_enum e where e.enumtypid = t.oid), '')
       || case when t.typtype = 'd' then ' ' || format_type(t.typbasetype, t.typtypmod) || case when t.typnotnull then ' not null' else '' end else '' end,
       coalesce(t.typdefault, '')
from pg_type t join ns on ns.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid
where t.typtype in ('e', 'd', 'r') or (t.typtype = 'c' and c.relkind = 'c')
  and not exists (select from pg_depend d where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e'))",
    R"(select 'sequence ' || format('%I.%I', ns.nspname, c.relname) || format(' %s %s %s %s %s', format_type(s.seqtypid, null), s.seqstart, s.seqincrement,
       s.seqmin, s.seqmax) || case when s.seqcycle then ' cycle' else '' end, ''
from pg_sequence s join pg_class c on c.oid = s.seqrelid join ns on ns.oid = c.relnamespace where c.relpersistence <> 't'
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'))",
};

// Every object of the application with an owner (but for functions that belong to another object, as a range type's
// constructors do); where it can have privileges, with these or the defaults they stand for.
constexpr char kObjects[] = R"(objects(classid, objid, owner, acl, extra) as (
  select 'pg_class'::regclass::oid, c.oid, c.relowner,
         coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's'::"char" else 'r'::"char" end, c.relowner)),
         case when c.relrowsecurity then ' row security' else '' end || case when c.relforcerowsecurity then ' forced' else '' end
    from pg_class c join ns on ns.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') and c.relpersistence <> 't'
  union all select 'pg_proc'::regclass, p.oid, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)), case when p.prosecdef then ' security definer' else '' end
    from pg_proc p join ns on ns.oid = p.pronamespace
    where not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'i')
  union all select 'pg_namespace'::regclass, n.oid, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner)), '' from pg_namespace n join ns on ns.oid = n.oid
  union all select 'pg_type'::regclass, t.oid, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner)), ''
    from pg_type t join ns on ns.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid
    where t.typtype in ('e', 'd', 'r') or (t.typtype = 'c' and c.relkind = 'c')
  union all select 'pg_largeobject'::regclass, l.oid, l.lomowner, coalesce(l.lomacl, acldefault('L', l.lomowner)), '' from pg_largeobject_metadata l
  union all select 'pg_foreign_server'::regclass, s.oid, s.srvowner, coalesce(s.srvacl, acldefault('S', s.srvowner)), '' from pg_foreign_server s
  union all select 'pg_foreign_data_wrapper'::regclass, w.oid, w.fdwowner, coalesce(w.fdwacl, acldefault('F', w.fdwowner)), '' from pg_foreign_data_wrapper w
  union all select 'pg_collation'::regclass, l.oid, l.collowner, null, '' from pg_collation l join ns on ns.oid = l.collnamespace
  union all select 'pg_operator'::regclass, o.oid, o.oprowner, null, '' from pg_operator o join ns on ns.oid = o.oprnamespace
  union all select 'pg_ts_config'::regclass, o.oid, o.cfgowner, null, '' from pg_ts_config o join ns on ns.oid = o.cfgnamespace
  union all select 'pg_ts_dict'::regclass, o.oid, o.dictowner, null, '' from pg_ts_dict o join ns on ns.oid = o.dictnamespace
  union all select 'pg_statistic_ext'::regclass, o.oid, o.stxowner, null, '' from pg_statistic_ext o join ns on ns.oid = o.stxnamespace
  union all select 'pg_publication'::regclass, o.oid, o.pubowner, null, '' from pg_publication o
), own as (select o.* from objects o where not exists (select from pg_depend d where d.classid = o.classid and d.objid = o.objid and d.deptype = 'e')))";

// privileges(acl): "grantee=PRIVILEGE*/grantor …", sorted.
std::string privileges(const std::string& acl) {
  return "coalesce((select string_agg(g, ' ' order by g collate \"C\") from (select case x.grantee when 0 then "
         "'PUBLIC' else "
         "quote_ident(pg_get_userbyid(x.grantee)) end || '=' || x.privilege_type || case when x.is_grantable then '*' "
         "else '' end || '/' || "
         "quote_ident(pg_get_userbyid(x.grantor)) as g from aclexplode(" +
         acl + ") x) s), '')";
}

Result<std::vector<std::string>> lines(Session& session, const std::string& what, const std::string& query,
                                       Deadline deadline) {
  auto rows = session.query("/* " + what + " */ " + query, deadline);
  if (!rows) return during("reading " + what, rows.error());
  std::vector<std::string> out;
  for (const auto& row : *rows) {
    std::string line = text(row, 0) + " " + normalise(text(row, 1));
    std::replace(line.begin(), line.end(), '\n', ' ');
    out.push_back(std::move(line));
  }
  return out;
}

}  // namespace

Result<std::vector<std::string>> structureLines(Session& session, Deadline deadline) {
  std::vector<std::string> out;
  for (const char* part : kStructure) {
    auto some = lines(session, "structure", std::string("with ") + kSchemas + " " + part, deadline);
    if (!some) return some.error();
    out.insert(out.end(), some->begin(), some->end());
  }
  std::sort(out.begin(), out.end());
  return out;
}

Result<std::vector<std::string>> ownerLines(Session& session, Deadline deadline) {
  const std::string with = std::string("with ") + kSchemas;
  const std::array<std::string, 4> parts = {
      with + ", " + kObjects +
          " select i.type || ' ' || i.identity || ' owner ' || quote_ident(pg_get_userbyid(o.owner)) || o.extra || ' ' "
          "|| " +
          privileges("o.acl") + ", '' from own o cross join lateral pg_identify_object(o.classid, o.objid, 0) i",
      with + " select 'column ' || format('%I.%I.%I', ns.nspname, c.relname, a.attname) || ' ' || " +
          privileges("a.attacl") +
          ", '' from pg_attribute a join pg_class c on c.oid = a.attrelid join ns on ns.oid = c.relnamespace where "
          "a.attacl is not null and "
          "c.relpersistence <> 't' and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and "
          "d.objid = c.oid and d.deptype = 'e')",
      "select 'default privileges of ' || quote_ident(pg_get_userbyid(d.defaclrole)) || ' in ' || "
      "coalesce(quote_ident(n.nspname), '*') || ' for ' || "
      "d.defaclobjtype::text || ' ' || " +
          privileges("d.defaclacl") +
          ", '' from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace",
      with +
          " select 'policy ' || format('%I.%I.%I', ns.nspname, c.relname, p.polname) || ' ' || p.polcmd::text || case "
          "when p.polpermissive then '' else ' restrictive' end || ' to ' || "
          "(select string_agg(case r when 0 then 'PUBLIC' else quote_ident(pg_get_userbyid(r)) end, ',' order by case "
          "r when 0 then '' else pg_get_userbyid(r)::text end collate \"C\") "
          "from unnest(p.polroles) r), coalesce(pg_get_expr(p.polqual, p.polrelid), '') || ' check ' || "
          "coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '') "
          "from pg_policy p join pg_class c on c.oid = p.polrelid join ns on ns.oid = c.relnamespace"};
  std::vector<std::string> out;
  for (const auto& part : parts) {
    auto some = lines(session, "owners", part, deadline);
    if (!some) return some.error();
    out.insert(out.end(), some->begin(), some->end());
  }
  std::sort(out.begin(), out.end());
  return out;
}

Result<std::vector<RoleRecord>> rolesUsed(Session& session, Deadline deadline) {
  auto rows = session.query(std::string("/* roles */ with ") + kSchemas + ", " + kObjects + R"(,
used(role, owner) as (
  select owner, true from own
  union all select x.grantee, false from own o cross join lateral aclexplode(o.acl) x
  union all select x.grantor, false from own o cross join lateral aclexplode(o.acl) x
  union all select x.grantee, false from pg_attribute a join pg_class c on c.oid = a.attrelid join ns on ns.oid = c.relnamespace
    cross join lateral aclexplode(a.attacl) x where a.attacl is not null
  union all select d.defaclrole, true from pg_default_acl d
  union all select x.grantee, false from pg_default_acl d cross join lateral aclexplode(d.defaclacl) x
  union all select r, false from pg_policy p cross join lateral unnest(p.polroles) r)
select pg_get_userbyid(role), bool_or(owner) from used where role <> 0 group by role
having pg_get_userbyid(role) <> 'pg_database_owner' order by 1)",
                            deadline);
  if (!rows) return during("listing the roles that own or may use something", rows.error());
  std::vector<RoleRecord> out;
  for (const auto& row : *rows) out.push_back({text(row, 0), truth(row, 1)});
  return out;
}

}  // namespace rollback::mover
