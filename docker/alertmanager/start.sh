#!/bin/sh
# Makes the configuration from alertmanager.yml and what is configured, then becomes the Alertmanager.
#   webhook: the file alert_webhook holds a URL
#   e-mail:  ALERT_EMAIL_TO and ALERT_SMTP_SMARTHOST (host:port); ALERT_EMAIL_FROM (else the first recipient)
#   login:   ALERT_SMTP_USER and the file alert_smtp_password
# With nothing configured alerts are shown at the Alertmanager only. `start.sh --show` prints the result.
set -eu
here=${ALERTMANAGER_TEMPLATES:-/etc/alertmanager}
secrets=${ALERTMANAGER_SECRETS:-/run/secrets}
made=${ALERTMANAGER_MADE:-/tmp/alertmanager.yml}
to=${ALERT_EMAIL_TO:-} smarthost=${ALERT_SMTP_SMARTHOST:-} user=${ALERT_SMTP_USER:-}
from=${ALERT_EMAIL_FROM:-${to%%,*}}

for value in "$to" "$smarthost" "$user" "$from"; do
    case $value in
    *[!A-Za-z0-9@.,:_+/=\ -]*)
        echo "alertmanager: '$value' is no address: correct ALERT_EMAIL_TO, ALERT_EMAIL_FROM," \
            "ALERT_SMTP_SMARTHOST or ALERT_SMTP_USER" >&2
        exit 2
        ;;
    esac
done

# What is not configured goes, from its "begin" to its "end".
webhook= email= login=
[ -s "$secrets/alert_webhook" ] || webhook='/# webhook begin/,/# webhook end/d'
[ -n "$to" ] && [ -n "$smarthost" ] || email='/# email begin/,/# email end/d'
[ -n "$user" ] && [ -s "$secrets/alert_smtp_password" ] || login='/# login begin/,/# login end/d'
sed -e "$webhook" -e "$email" -e "$login" \
    -e "s|smtp.example.invalid:587|$smarthost|" -e "s|swt@example.invalid|$from|" \
    -e "s|operator@example.invalid|$to|" -e "s|username: \"swt\"|username: \"$user\"|" \
    -e "s|/run/secrets|$secrets|" "$here/alertmanager.yml" >"$made"

if [ "${1:-}" = --show ]; then
    cat "$made"
    exit 0
fi
exec "${ALERTMANAGER:-/bin/alertmanager}" --config.file="$made" "$@"
