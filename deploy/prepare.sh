#!/bin/sh
# One-shot service of docker-compose.yml: makes passwords once, and a certificate authority with the certificates of the
# three servers, anew when one of them ends within a month. Nothing here has a default; what is good is kept.
#
#   prepare.sh [FOLDER]    default: /prepared, where each folder below is a volume of one service
#
# The services read their files under /prepared, wherever they are made.
set -eu
umask 077
cd "${1:-/prepared}"
mkdir -p database objects migrate vault

certificates_are_good() {
  cmp -s vault/ca.crt migrate/ca.crt || return 1
  for server in database objects vault; do
    openssl x509 -in "$server/$server.crt" -noout -checkend 2592000 >/dev/null 2>&1 || return 1
    openssl verify -CAfile vault/ca.crt "$server/$server.crt" >/dev/null 2>&1 || return 1
  done
}

make_certificates() {
  draft=$(mktemp -d)
  # With it goes the authority's key: whoever had it could make more certificates, and it is not needed again.
  trap 'rm -rf "$draft"' EXIT
  openssl ecparam -name prime256v1 -genkey -noout -out "$draft/ca.key"
  openssl req -x509 -new -key "$draft/ca.key" -sha256 -days 3650 -subj "/CN=Callvault compose CA" -out "$draft/ca.crt" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign"
  for server in database objects vault; do
    openssl ecparam -name prime256v1 -genkey -noout -out "$draft/key"
    openssl req -new -key "$draft/key" -subj "/CN=$server" -out "$draft/csr"
    printf 'basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' \
      "$server" > "$draft/ext"
    openssl x509 -req -in "$draft/csr" -CA "$draft/ca.crt" -CAkey "$draft/ca.key" -CAcreateserial -sha256 -days 825 \
      -extfile "$draft/ext" -out "$draft/crt"
    mv "$draft/key" "$server/$server.key"
    mv "$draft/crt" "$server/$server.crt"
  done
  cp "$draft/ca.crt" migrate/ca.crt
  cp "$draft/ca.crt" vault/ca.crt
}

secret() { openssl rand -hex 32; }

database_url() { # ROLE PASSWORD
  printf 'postgresql://%s:%s@database:5432/callvault?sslmode=verify-full&sslrootcert=/prepared/ca.crt' "$1" "$2"
}

make_secrets() {
  owner=$(secret)
  printf '%s' "$owner" > database/owner.password
  database_url callvault "$(secret)" > vault/database.url
  openssl rand -hex 10 > vault/objects.id
  secret > vault/objects.secret
  printf '{"identities":[{"name":"callvault","credentials":[{"accessKey":"%s","secretKey":"%s"}],"actions":["Admin","Read","Write","List","Tagging"]}]}' \
    "$(cat vault/objects.id)" "$(cat vault/objects.secret)" > objects/objects.json
  cp vault/database.url vault/objects.id vault/objects.secret migrate/
  # Last: its presence says that all of them are there.
  database_url callvault_owner "$owner" > migrate/migrate.url.new
  mv migrate/migrate.url.new migrate/migrate.url
}

[ -s migrate/migrate.url ] || make_secrets
certificates_are_good || make_certificates
# Each volume belongs to the user of its service (the ids in the images). Run by somebody else, the files stay his own.
if [ "$(id -u)" = 0 ]; then
  chown -R 999:999 database
  chown -R 1000:1000 objects
  chown -R 10001:10001 migrate vault
fi
chmod 0700 database objects migrate vault
