# Makes new host keys. $1 is the host's folder.
set -eu
cd "$1/root/etc/ssh"
rm -f host_*
ssh-keygen -q -t ed25519 -N '' -C '' -f host_ed25519
ssh-keygen -q -t ecdsa -N '' -C '' -f host_ecdsa
if [ -e "$1/rsa" ]; then ssh-keygen -q -t rsa -b 2048 -N '' -C '' -f host_rsa; fi
