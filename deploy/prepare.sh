#!/bin/sh
# One-shot service of docker-compose.yml: makes a certificate authority, certificates and passwords, once, into the volume
# /prepared. Nothing here has a default; what exists is kept.
set -eu
umask 077
cd /prepared
if [ ! -f done ]; then
  openssl ecparam -name prime256v1 -genkey -noout -out ca.key
  openssl req -x509 -new -key ca.key -sha256 -days 3650 -subj "/CN=Callvault compose CA" -out ca.crt \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign"
  for host in database objects vault; do
    openssl ecparam -name prime256v1 -genkey -noout -out "$host.key"
    openssl req -new -key "$host.key" -subj "/CN=$host" -out "$host.csr"
    printf 'subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' "$host" > "$host.ext"
    openssl x509 -req -in "$host.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -sha256 -days 825 -extfile "$host.ext" -out "$host.crt"
    rm "$host.csr" "$host.ext"
  done
  # Whoever has the authority's key could make more certificates: it is not needed again.
  rm ca.key ca.srl
  secret() { openssl rand -hex 32; }
  secret > database-owner.password
  printf 'postgresql://callvault:%s@database:5432/callvault?sslmode=verify-full&sslrootcert=/prepared/ca.crt' "$(secret)" > database.url
  printf 'postgresql://callvault_owner:%s@database:5432/callvault?sslmode=verify-full&sslrootcert=/prepared/ca.crt' "$(cat database-owner.password)" > migrate.url
  openssl rand -hex 10 > objects.id
  secret > objects.secret
  printf '{"identities":[{"name":"callvault","credentials":[{"accessKey":"%s","secretKey":"%s"}],"actions":["Admin","Read","Write","List","Tagging"]}]}' \
    "$(cat objects.id)" "$(cat objects.secret)" > objects.json
  touch done
fi
# Each service reads its own files and no others' (its user's id in its image).
chown 999:999 database.key database.crt database-owner.password
chown 10001:10001 vault.key vault.crt database.url migrate.url objects.id objects.secret
chown 0:0 objects.key objects.crt objects.json
chmod 0644 ca.crt
chmod 0755 /prepared
