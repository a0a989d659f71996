#!/bin/sh
# A database and a role for each service, and nobody else may connect to it. Runs by itself when the data folder is new.
# May be repeated, for a new service or changed passwords:
#   docker compose exec postgres /docker-entrypoint-initdb.d/databases.sh
set -eu
for service in registry projects requests notifications identity; do
    password=$(printenv "$(echo $service | tr a-z A-Z)_DB_PASSWORD")
    psql -v ON_ERROR_STOP=1 -qX -U "$POSTGRES_USER" -d "$POSTGRES_DB" -v service="$service" -v password="$password" <<'SQL'
SELECT format('CREATE ROLE %I', :'service') WHERE to_regrole(:'service') IS NULL \gexec
ALTER ROLE :"service" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE ''C.UTF-8'' ENCODING UTF8', :'service', :'service')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'service') \gexec
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
done
psql -v ON_ERROR_STOP=1 -qX -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c 'REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC'
