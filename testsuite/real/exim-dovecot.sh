#!/bin/sh
# Starts Exim and Dovecot on loopback ports, for the tests of activities/mail/smtp
# against a real provider:
#
#	testsuite/real/exim-dovecot.sh start FOLDER   # as root; installs what is missing
#	. FOLDER/environment
#	go test ./activities/mail/smtp/
#	testsuite/real/exim-dovecot.sh stop FOLDER
#
# Exim takes any recipient. journal@… is delivered to the mailbox that Dovecot
# shows to the user "journal" (password "journal"), everybody else to that of the
# user "customers". Local parts that refuse: unknown (550) and tempfail (451).
# Both servers offer STARTTLS with a self-signed certificate and tell nothing
# without it.
# SMTP_PORT and IMAP_PORT are 8562 and 8563 unless set.
set -eu

do=${1:?start or stop}
folder=$(realpath -m "${2:?the folder to work in}")
smtp_port=${SMTP_PORT:-8562}
imap_port=${IMAP_PORT:-8563}

end() { # by the id that the server wrote, and only when it is that server
	[ -s "$1" ] || return 0
	id=$(cat "$1")
	case $(cat "/proc/$id/comm" 2>/dev/null || true) in
	exim4 | dovecot) kill "$id" ;;
	*) return 0 ;;
	esac
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ -d "/proc/$id" ] || return 0
		sleep 1
	done
	echo "$id does not end" >&2
	return 1
}

if [ "$do" = stop ]; then
	end "$folder/exim.pid"
	end "$folder/dovecot/run/master.pid"
	exit 0
fi

for package in exim4-daemon-light dovecot-imapd openssl; do
	dpkg -s "$package" >/dev/null 2>&1 ||
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$package"
done

mkdir -p "$folder/spool" "$folder/log" "$folder/maildir" "$folder/dovecot" "$folder/tls"
cd "$folder"

[ -s tls/certificate.pem ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
	-subj /CN=mta.test -addext subjectAltName=DNS:mta.test,DNS:localhost,IP:127.0.0.1 \
	-keyout tls/key.pem -out tls/certificate.pem 2>/dev/null

cat >exim.conf <<END
primary_hostname = mta.test
exim_user = mail
exim_group = mail
never_users =
spool_directory = $folder/spool
log_file_path = $folder/log/%slog
pid_file_path = $folder/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = $smtp_port
tls_advertise_hosts = *
tls_certificate = $folder/tls/certificate.pem
tls_privatekey = $folder/tls/key.pem
smtp_accept_max = 100
message_size_limit = 10M
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
domainlist local_domains = *
acl_smtp_mail = acl_mail
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
queue_only = false
keep_environment =
begin acl
acl_mail:
  deny   message = encryption required
         !encrypted = *
  accept
acl_rcpt:
  defer  message = 451 4.2.1 try again later
         local_parts = tempfail
  deny   message = 550 5.1.1 no such user
         local_parts = unknown
  accept
acl_data:
  accept
begin routers
journal:
  driver = accept
  local_parts = journal
  transport = journal
customers:
  driver = accept
  transport = customers
begin transports
journal:
  driver = appendfile
  maildir_format
  directory = $folder/maildir/journal
  create_directory
  delivery_date_add
  envelope_to_add
  return_path_add
  user = mail
  group = mail
  mode = 0600
customers:
  driver = appendfile
  maildir_format
  directory = $folder/maildir/customers
  create_directory
  delivery_date_add
  envelope_to_add
  return_path_add
  user = mail
  group = mail
  mode = 0600
begin retry
* * F,1h,1m
END

cat >dovecot.conf <<END
base_dir = $folder/dovecot/run
state_dir = $folder/dovecot/state
log_path = $folder/log/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <$folder/tls/certificate.pem
ssl_key = <$folder/tls/key.pem
disable_plaintext_auth = yes
mail_location = maildir:$folder/maildir/%n
first_valid_uid = 8
first_valid_gid = 8
mail_uid = 8
mail_gid = 8
# Fewer sessions than the tests would open without their own limit.
mail_max_userip_connections = 40
passdb {
  driver = static
  args = password=journal
}
userdb {
  driver = static
  args = uid=8 gid=8 home=$folder/maildir/%n
}
service imap-login {
  inet_listener imap {
    port = $imap_port
  }
  inet_listener imaps {
    port = 0
  }
}
END

cat >environment <<END
export TRUEUP_REAL_SMTP=127.0.0.1:$smtp_port
export TRUEUP_REAL_IMAP=127.0.0.1:$imap_port
export TRUEUP_REAL_CA=$folder/tls/certificate.pem
END

chmod 755 "$folder"
chown -R mail:mail spool log maildir tls
/usr/sbin/exim4 -C "$folder/exim.conf" -bd -q1m
/usr/sbin/dovecot -c "$folder/dovecot.conf"
echo "started; . $folder/environment"
