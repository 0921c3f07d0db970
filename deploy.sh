#!/usr/bin/env bash
# Deploys the sync: as a Cloud Function that receives a Pub/Sub topic's messages from Eventarc, or as a container that
# Pub/Sub pushes to. Also deploys the Cloud Run job that loads a shop's history. See `./deploy.sh --help`.
{ set +x; } 2>/dev/null # a trace (bash -x) would show the secrets
set -euo pipefail
umask 077

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Names of all settings. Secrets are listed apart, because they are never accepted as flags.
REQUIRED="PROJECT_ID REGION CT_API_URL CT_AUTH_URL CT_PROJECT_ID CT_SCOPE"
SECRETS="CT_API_CLIENT KLAVIYO_AUTH_KEY"
OPTIONAL="CT_SCOPES PREFERRED_LOCALE PREFERRED_CURRENCY PRODUCT_URL_TEMPLATE DEAD_LETTER_TOPIC SYNC_CONFIG KLAVIYO_API_URL
  KLAVIYO_LIMIT_SHARE SKIP_BASE64_ENCODING PUB_SUB_PORT PUSH_AUDIENCE PUSH_SERVICE_ACCOUNT THREADS APP_TYPE
  FUNCTION_NAME TOPIC FUNCTION_RUNTIME FUNCTION_MEMORY FUNCTION_CPU FUNCTION_TIMEOUT MIN_INSTANCES MAX_INSTANCES
  IMAGE BUILD_SERVICE_ACCOUNT CT_API_CLIENT_FILE KLAVIYO_AUTH_KEY_FILE"
# The settings that become environment variables of the function. Secret Manager provides its secrets, Cloud Run its
# port.
DEPLOYED="GOOGLE_CLOUD_PROJECT CT_API_URL CT_AUTH_URL CT_PROJECT_ID CT_SCOPE PREFERRED_LOCALE PREFERRED_CURRENCY PRODUCT_URL_TEMPLATE
  DEAD_LETTER_TOPIC SYNC_CONFIG KLAVIYO_API_URL KLAVIYO_LIMIT_SHARE SKIP_BASE64_ENCODING
  THREADS APP_TYPE"
# Not for jobs: a job receives no messages and publishes no dead letters, and it has its own options for quota share and
# threads.
NOT_FOR_JOBS="DEAD_LETTER_TOPIC KLAVIYO_LIMIT_SHARE SKIP_BASE64_ENCODING THREADS"

APIS="artifactregistry.googleapis.com cloudbuild.googleapis.com cloudfunctions.googleapis.com
  cloudresourcemanager.googleapis.com eventarc.googleapis.com iam.googleapis.com logging.googleapis.com
  pubsub.googleapis.com run.googleapis.com secretmanager.googleapis.com"
COMMERCETOOLS_ACCOUNT=serviceAccount:subscriptions@commercetools-platform.iam.gserviceaccount.com

# https, or http to a loopback host: the same rule as in core/settings.py.
BACKEND_URL='^(https://[^[:space:]/]+|http://(localhost|127(\.(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}|\[::1\])(:[0-9]+)?)(/[^[:space:]]*)?$'

# For the default of MAX_INSTANCES. More instances than Klaviyo's rate limits can keep busy would only wait. The highest
# limit is 3500 events per minute for the whole account, and one write occupies a thread for about half a second.
KLAVIYO_EVENTS_PER_MINUTE=3500
WRITES_PER_THREAD_AND_MINUTE=120

# The rights that Cloud Build's account needs. It is an account of our own, as the default one has no rights in new
# organisations.
BUILD_ROLES="roles/artifactregistry.writer roles/logging.logWriter roles/storage.objectViewer"

ACK_DEADLINE=600       # seconds, the longest that Pub/Sub allows
DELIVERY_ATTEMPTS=100  # the most that Pub/Sub allows: about 16 hours with the backoff below
BACKOFF_MIN=10s
BACKOFF_MAX=600s
RETENTION=7d
DEAD_LETTER_RETENTION=31d
MIN_TIMEOUT=35         # seconds: a message may take 25, and publishing its dead letter 5 more
MAX_TIMEOUT=540        # seconds, Google's limit for event-driven functions
GRANT_ATTEMPTS=6       # a new service account takes a while to be known everywhere
GRANT_PAUSE=5          # seconds

STATE_FOLDER=/state    # where a job's bucket is mounted
IMAGE_USER=10001       # the Dockerfile's user; by default root would own the mounted bucket

usage() {
  cat <<'EOF'
Deploys the commercetools to Klaviyo sync: topics, service accounts, secrets, and either a Cloud Function (2nd gen) with
an Eventarc trigger or a Cloud Run service with a push subscription. It is safe to run again at any time: existing
resources are reused, and code, settings, changed secrets and the subscription's options are updated.

Usage:
  ./deploy.sh [--container | --backfill] [--env-file FILE] [--dry-run] [--SETTING VALUE ...]
  ./deploy.sh --delete [--yes] [--dry-run] [--SETTING VALUE ...]

Options:
  --container      deploy a Cloud Run service, NAME-container, built from the Dockerfile, instead of the function
  --backfill       deploy only the Cloud Run job NAME-backfill, which loads the shop's history when it is started
  --env-file FILE  read settings from FILE: one NAME=value per line, with or without quotes around the value
  --dry-run        print the gcloud commands of a first run without running them: needs no login and no network
  --delete         delete everything that this script created, after asking for confirmation
  --yes            with --delete: do not ask
  --help           show this help

Settings come from the environment, from --env-file, which overrides the environment, or from flags, which override
both. A setting's flag is its name in lower case with dashes: PROJECT_ID becomes --project-id VALUE. Defaults are in
parentheses.

Project and names:
  PROJECT_ID             Google Cloud project (required)
  REGION                 e.g. europe-west1 (required)
  FUNCTION_NAME          name of the function, and prefix of all other names (klaviyo-sync)
  TOPIC                  topic that commercetools publishes to, T or projects/PROJECT_ID/topics/T (the function's name)
  BUILD_SERVICE_ACCOUNT  projects/P/serviceAccounts/EMAIL that builds the function or the container (one is created). The
                         image of a job is always built by the project's default build account
  IMAGE                  for a container or a job: deploy this existing image, preferably by digest, instead of building one

Backends:
  CT_API_URL             commercetools' API host (required)
  CT_AUTH_URL            its auth host (required)
  CT_PROJECT_ID          project key (required)
  CT_SCOPE               scopes, separated by spaces, each with :CT_PROJECT_ID (required; CT_SCOPES works too):
                         view_customers view_orders view_payments view_products view_published_products, and optionally
                         view_standalone_prices view_discount_codes view_customer_groups view_states (see docs/settings.md)
  CT_API_CLIENT          secret: {"clientId": "...", "secret": "..."} (required)
  KLAVIYO_AUTH_KEY       secret: private key (required)
  CT_API_CLIENT_FILE     read CT_API_CLIENT from this file instead
  KLAVIYO_AUTH_KEY_FILE  read KLAVIYO_AUTH_KEY from this file instead
  KLAVIYO_API_URL        base URL to use instead of Klaviyo's API
  Secrets are never accepted as flags, because other users of the machine could read them.

What to sync:
  PREFERRED_LOCALE       e.g. en-US
  PREFERRED_CURRENCY     e.g. EUR
  PRODUCT_URL_TEMPLATE   e.g. https://shop.example/p/{{productSlug}}
  SYNC_CONFIG            another sync.toml: a file sync.NAME.toml in the folder of this script
  DEAD_LETTER_TOPIC      projects/PROJECT_ID/topics/T for messages that can't be synced (TOPIC-dead-letters)
  SKIP_BASE64_ENCODING   any value: also accept deliveries without Pub/Sub's envelope
  APP_TYPE               EVENT or unset
  PUB_SUB_PORT           ignored: Cloud Run sets the port
  PUSH_AUDIENCE          ignored: IAM checks who calls the sync
  PUSH_SERVICE_ACCOUNT   ignored, for the same reason

Size:
  THREADS                messages that an instance processes concurrently (8)
  FUNCTION_RUNTIME       python311 or newer (python313)
  FUNCTION_MEMORY        (512Mi)
  FUNCTION_CPU           1, 2, 4, 6 or 8 (1)
  FUNCTION_TIMEOUT       seconds, 35 to 540 (60)
  MIN_INSTANCES          (0)
  KLAVIYO_LIMIT_SHARE    share of Klaviyo's rate limits per instance (1 / MAX_INSTANCES)
  MAX_INSTANCES          (as many as Klaviyo's limit of 3500 events per minute can keep busy: 5 with 8 threads)

Examples:
  ./deploy.sh --env-file .env --project-id my-project --region europe-west1
  ./deploy.sh --env-file .env --project-id my-project --region europe-west1 --dry-run
  KLAVIYO_AUTH_KEY_FILE=key.txt ./deploy.sh --env-file .env --threads 16 --function-memory 1Gi
  ./deploy.sh --container --env-file .env --project-id my-project --region europe-west1
  ./deploy.sh --backfill --env-file .env --project-id my-project --region europe-west1
  ./deploy.sh --delete --project-id my-project --region europe-west1

Exit status: 0 success, 1 a command failed or you answered no, 2 a setting or an option is wrong.
EOF
}

# --- Output ----------------------------------------------------------------------------------------------------------

# Ends the script because a setting or an option is wrong.
usage_error() {
  printf 'deploy.sh: %s\n' "$*" >&2
  exit 2
}

# Ends the script because a command failed or the answer was no.
fail() {
  printf 'deploy.sh: %s\n' "$*" >&2
  exit 1
}

# A headline. In a dry run it is a comment in the printed script, and the texts of `report` are left out.
step() {
  if [[ $dry_run ]]; then printf '\n# %s\n' "$*"; else printf '== %s\n' "$*"; fi
}

report() {
  [[ $dry_run ]] || printf '   %s\n' "$*"
}

# A command for the user to run later. In a dry run it is a comment, so that the printed script does not run it.
print_command() {
  if [[ $dry_run ]]; then printf '# %s\n' "$1"; else printf '%s\n' "$1"; fi
}

# The arguments quoted for the shell. A `$` is left alone: in a dry run it begins a variable that an earlier printed
# command sets.
quoted() {
  local word separator='' plain='^[A-Za-z0-9_./:@%+=,-]+$' variable='^[A-Za-z0-9_./:@%+=,$-]+$'
  for word in "$@"; do
    printf %s "$separator"
    separator=' '
    if [[ $word =~ $plain ]]; then
      printf %s "$word"
    elif [[ $word =~ $variable ]]; then
      printf '"%s"' "$word"
    else
      printf "'%s'" "${word//\'/\'\\\'\'}"
    fi
  done
}

# --- Settings --------------------------------------------------------------------------------------------------------

# True for the name of a setting, except a secret.
is_setting() {
  local name
  for name in $REQUIRED $OPTIONAL; do
    [[ $name == "$1" ]] && return
  done
  return 1
}

# Reads the settings of an env file, by the same rules as commands/env_file.py: a value may be in quotes, and nothing is
# expanded or run. Errors give the line's number but never its text, which could be a secret.
read_env_file() {
  local file=$1 line name written value number=0
  local blank='^[[:space:]]*(#.*)?$'
  local setting='^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z0-9_]*)[[:space:]]*=(.*)$'
  local single="^'([^']*)'[[:space:]]*(#.*)?$" double='^"(([^"\]|\\.)*)"[[:space:]]*(#.*)?$' comment='^(.*)[[:space:]]+#.*$'
  local quotes_inside='^"(.*)"[[:space:]]*(#[^"]*)?$' backslash=$'\x01'
  [[ -r $file && ! -d $file ]] || usage_error "--env-file: $file can't be read"
  while IFS= read -r line || [[ $line ]]; do
    number=$((number + 1))
    if ((number == 1)); then line=${line#$'\xef\xbb\xbf'}; fi
    line=${line%$'\r'}
    if [[ $line =~ $blank ]]; then continue; fi
    [[ $line =~ $setting ]] || usage_error "--env-file: line $number of $file: expected NAME=value"
    name=${BASH_REMATCH[2]} written=${BASH_REMATCH[3]}
    if [[ " $SECRETS " != *" $name "* ]] && ! is_setting "$name"; then continue; fi
    value=${written#"${written%%[![:space:]]*}"}
    if [[ $value =~ $double ]]; then
      value=${BASH_REMATCH[1]//\\\\/$backslash}
      value=${value//\\\"/\"}
      value=${value//$backslash/\\}
    elif [[ $value =~ $single || $value =~ $quotes_inside ]]; then
      value=${BASH_REMATCH[1]}
    else
      [[ $value != [\'\"]* ]] || usage_error "--env-file: line $number of $file: a quote is not closed, or text follows the" \
        "closing quote. Put a value with spaces or braces in single quotes."
      value=$written
      while [[ $value =~ $comment ]]; do value=${BASH_REMATCH[1]}; done
      value=${value#"${value%%[![:space:]]*}"}
      value=${value%"${value##*[![:space:]]}"}
    fi
    printf -v "$name" %s "$value"
  done <"$file"
}

# Reads the command line. Settings from the env file are set first, then those from flags, so that flags win.
read_arguments() {
  local flag value name file='' flags=()
  while (($#)); do
    flag=$1
    shift
    case $flag in
      --help | -h) usage && exit ;;
      --dry-run) dry_run=1 && continue ;;
      --container) container=1 && continue ;;
      --backfill) backfill=1 && continue ;;
      --delete) delete=1 && continue ;;
      --yes | -y) yes=1 && continue ;;
      --?*) ;;
      *) usage_error "$flag is not an option (see --help)" ;;
    esac
    name=$(tr 'a-z-' 'A-Z_' <<<"${flag%%=*}")
    name=${name#__}
    for value in $SECRETS; do
      [[ $name != "$value" ]] || usage_error "${flag%%=*}: a secret is not accepted on the command line; set $name, or use ${flag%%=*}-file"
    done
    [[ $name == ENV_FILE ]] || is_setting "$name" || usage_error "${flag%%=*} is not an option (see --help)"
    if [[ $flag == *=* ]]; then
      value=${flag#*=}
    else
      (($#)) || usage_error "$flag needs a value"
      value=$1
      shift
    fi
    if [[ $name == ENV_FILE ]]; then file=$value; else flags+=("$name=$value"); fi
  done
  if [[ $container && $backfill ]]; then usage_error "--container and --backfill are separate deployments: run them one after the other"; fi
  if [[ $delete && ($container || $backfill) ]]; then
    usage_error "--delete deletes everything, not only the container or the job: leave --container and --backfill out"
  fi
  if [[ $file ]]; then read_env_file "$file"; fi
  for value in ${flags[@]+"${flags[@]}"}; do
    printf -v "${value%%=*}" %s "${value#*=}"
  done
}

# Reads secrets from the files that CT_API_CLIENT_FILE and KLAVIYO_AUTH_KEY_FILE name.
read_secret_files() {
  local name file
  for name in $SECRETS; do
    file=${name}_FILE
    file=${!file-}
    [[ $file ]] || continue
    if [[ -r $file && ! -d $file ]]; then
      printf -v "$name" %s "$(<"$file")"
    else
      problems+=("${name}_FILE ($file can't be read)")
    fi
  done
}

# must_match NAME PATTERN HINT: adds a problem if the setting has a value that does not match. Never shows the value.
must_match() {
  [[ -z ${!1-} || ${!1} =~ $2 ]] || problems+=("$1 ($3)")
}

# must_be_between NAME LOWEST HIGHEST: adds a problem if the setting is not a whole number in this range.
must_be_between() {
  if ! [[ ${!1} =~ ^(0|[1-9][0-9]{0,3})$ ]] || ((${!1} < $2 || ${!1} > $3)); then
    problems+=("$1 (must be $2 to $3)")
  fi
}

# The arguments, separated by commas.
joined() {
  local text=$1 part
  shift
  for part in "$@"; do text+=", $part"; done
  printf %s "$text"
}

# Sets the defaults and checks all settings. Reports all problems in one line, and shows no value.
check_settings() {
  local missing=() name file text=
  problems=()
  : "${CT_SCOPE:=${CT_SCOPES-}}"
  if [[ ! $delete ]]; then read_secret_files; fi
  for name in $REQUIRED $SECRETS; do
    if [[ $delete && $name != PROJECT_ID && $name != REGION ]]; then continue; fi
    file=${name}_FILE
    [[ ${!name-} || ${!file-} ]] || missing+=("$name")
  done

  : "${FUNCTION_NAME:=klaviyo-sync}"
  : "${TOPIC:=$FUNCTION_NAME}"
  TOPIC=${TOPIC#"projects/${PROJECT_ID-}/topics/"}
  : "${DEAD_LETTER_TOPIC:=projects/${PROJECT_ID-}/topics/$TOPIC-dead-letters}"
  DEAD_LETTERS=${DEAD_LETTER_TOPIC##*/}

  must_match PROJECT_ID '^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$' 'must be the id of a Google Cloud project'
  must_match REGION '^[a-z]+-[a-z]+[0-9]+$' 'must be a region such as europe-west1'
  must_match FUNCTION_NAME '^[a-z][a-z0-9-]{0,20}[a-z0-9]$' 'must be 2 to 22 lower-case letters, digits and dashes'
  must_match TOPIC '^[A-Za-z][A-Za-z0-9_.-]{2,200}$' "must be T or projects/PROJECT_ID/topics/T"
  if [[ ${PROJECT_ID-} ]]; then
    must_match DEAD_LETTER_TOPIC "^projects/$PROJECT_ID/topics/[A-Za-z][A-Za-z0-9_.-]{2,210}\$" "must be projects/$PROJECT_ID/topics/T"
  fi
  [[ $DEAD_LETTERS != "$TOPIC" ]] || problems+=("DEAD_LETTER_TOPIC (must not be the same topic as TOPIC)")
  if [[ ! $delete ]]; then check_deployment_settings; fi

  if ((${#missing[@]})); then text="not set: $(joined "${missing[@]}")"; fi
  if ((${#problems[@]})); then text+="${text:+; }wrong: $(joined "${problems[@]}")"; fi
  [[ ! $text ]] || usage_error "$text (see --help)"
}

# The settings that only a deployment needs, not --delete.
check_deployment_settings() {
  local name before=${#problems[@]}
  : "${THREADS:=8}" "${FUNCTION_RUNTIME:=python313}" "${FUNCTION_MEMORY:=512Mi}" "${FUNCTION_CPU:=1}"
  : "${FUNCTION_TIMEOUT:=60}" "${MIN_INSTANCES:=0}"
  for name in CT_API_URL CT_AUTH_URL KLAVIYO_API_URL; do
    must_match "$name" "$BACKEND_URL" 'must be https://HOST; http:// is for localhost, 127.0.0.1 and [::1] only'
  done
  must_match CT_PROJECT_ID '^[A-Za-z0-9_-]{1,256}$' 'must be a commercetools project key'
  must_match CT_API_CLIENT '^[[:space:]]*\{(.*"client(Id|_id)".*"secret"|.*"secret".*"client(Id|_id)").*\}' 'must be {"clientId": "...", "secret": "..."}'
  must_match KLAVIYO_AUTH_KEY '^[^[:space:]]+$' 'must not contain spaces'
  if [[ ${CT_API_CLIENT-} == *'"..."'* ]]; then problems+=("CT_API_CLIENT (is still the placeholder from .env.example)"); fi
  if [[ ${KLAVIYO_AUTH_KEY-} == pk_... ]]; then problems+=("KLAVIYO_AUTH_KEY (is still the placeholder from .env.example)"); fi
  must_match PREFERRED_CURRENCY '^[[:space:]]*[A-Za-z]{3}[[:space:]]*$' 'must be a currency code such as EUR'
  must_match APP_TYPE '^EVENT$' 'must be EVENT or unset'
  must_match FUNCTION_RUNTIME '^python3(1[1-9]|[2-9][0-9])$' 'must be python311 or newer'
  must_match FUNCTION_MEMORY '^[1-9][0-9]*([KMG]i|[KMG]B?)$' 'must be a size such as 512Mi'
  must_match KLAVIYO_LIMIT_SHARE '^(0?\.[0-9]*[1-9][0-9]*|1(\.0*)?)$' 'must be above 0 and at most 1'
  must_match FUNCTION_CPU '^[12468]$' 'must be 1, 2, 4, 6 or 8'
  must_match IMAGE '^[a-z0-9.-]+\.[a-z]+/[a-z0-9._/-]+(:[A-Za-z0-9_.-]+)?(@sha256:[0-9a-f]{64})?$' 'must be the full name of an image'
  must_match BUILD_SERVICE_ACCOUNT '^projects/[^/ ]+/serviceAccounts/[^/ ]+$' 'must be projects/P/serviceAccounts/EMAIL'
  if [[ ${SYNC_CONFIG-} ]] && ! [[ $SYNC_CONFIG =~ ^sync\.([A-Za-z0-9_-]+\.)?toml$ && -r $ROOT/$SYNC_CONFIG ]]; then
    problems+=("SYNC_CONFIG (must be a file sync.NAME.toml in the folder of deploy.sh: no other is uploaded)")
  fi
  for name in $DEPLOYED; do
    [[ ${!name-} != *[[:cntrl:]]* ]] || problems+=("$name (must be a single line)")
  done
  must_be_between FUNCTION_TIMEOUT "$MIN_TIMEOUT" "$MAX_TIMEOUT"
  must_be_between MIN_INSTANCES 0 1000
  before=${#problems[@]}
  must_be_between THREADS 1 1000
  if ((${#problems[@]} > before)); then return; fi
  local writes=$((WRITES_PER_THREAD_AND_MINUTE * THREADS))
  # Rounded up, plus one spare.
  : "${MAX_INSTANCES:=$(((KLAVIYO_EVENTS_PER_MINUTE + writes - 1) / writes + 1))}"
  must_be_between MAX_INSTANCES 1 1000
  if ((${#problems[@]} > before)); then return; fi
  if ((MAX_INSTANCES > 1)); then
    : "${KLAVIYO_LIMIT_SHARE:=$(printf '0.%04d' $((10000 / MAX_INSTANCES)))}"
  fi
  if ((${#problems[@]} == 0 && MIN_INSTANCES > MAX_INSTANCES)); then
    problems+=("MIN_INSTANCES (must be at most MAX_INSTANCES, which is $MAX_INSTANCES)")
  fi
}

# --- gcloud ----------------------------------------------------------------------------------------------------------

# Runs a gcloud command; a dry run prints it. If it fails, the script ends with gcloud's error and the command.
run() {
  if [[ $dry_run ]]; then
    printf '%s\n' "$(quoted gcloud "$@")"
  elif ! gcloud "$@" </dev/null >/dev/null 2>"$work/error"; then
    failed "$@"
  fi
}

failed() {
  cat "$work/error" >&2
  fail "failed: $(quoted gcloud "$@")"
}

# True if the command, usually a `describe`, finds its resource. A dry run assumes a first run, or with --delete that
# all exist.
exists() {
  if [[ $dry_run ]]; then
    printf '%s\n' "$(quoted gcloud "$@")"
    [[ $delete ]]
  elif ! gcloud "$@" </dev/null >/dev/null 2>"$work/error"; then
    grep -qiE 'not[_ ]found|cannot find service|\[404\]|SERVICE_DISABLED|has not been used' "$work/error" || failed "$@"
    return 1
  fi
}

# lookup VARIABLE COMMAND...: sets the variable to what the command prints. A dry run sets it to its own name, as
# `$VARIABLE`.
lookup() {
  local variable=$1
  shift
  if [[ $dry_run ]]; then
    printf "%s=\$(%s)\n" "$variable" "$(quoted gcloud "$@")"
    printf -v "$variable" %s "\$$variable"
  else
    gcloud "$@" </dev/null >"$work/answer" 2>"$work/error" || failed "$@"
    printf -v "$variable" %s "$(<"$work/answer")"
  fi
}

# Grants a right. Retries while the account "does not exist": a new one takes a while to be known everywhere.
grant() {
  local attempt
  if [[ $dry_run ]]; then
    run "$@"
    return
  fi
  for ((attempt = 1; ; attempt++)); do
    if gcloud "$@" </dev/null >/dev/null 2>"$work/error"; then return; fi
    if ((attempt == GRANT_ATTEMPTS)) || ! grep -qi 'does not exist' "$work/error"; then failed "$@"; fi
    sleep "$GRANT_PAUSE"
  done
}

# --- Deploying -------------------------------------------------------------------------------------------------------

# Enables the APIs that are not enabled yet.
enable_apis() {
  local api absent=()
  lookup ENABLED services list --enabled "$PROJECT" '--format=value(config.name)'
  for api in $APIS; do
    grep -qxF "$api" <<<"$ENABLED" || absent+=("$api")
  done
  if ((${#absent[@]})); then
    run services enable "${absent[@]}" "$PROJECT"
    report "enabled ${absent[*]}"
  fi
}

create_topic() {
  if exists pubsub topics describe "$1" "$PROJECT"; then return; fi
  run pubsub topics create "$1" "$PROJECT"
  report "created topic $1"
}

# Pub/Sub drops messages of a topic that has no subscription, so dead letters need one.
create_dead_letter_subscription() {
  if exists pubsub subscriptions describe "$DEAD_LETTERS" "$PROJECT"; then return; fi
  run pubsub subscriptions create "$DEAD_LETTERS" "--topic=$DEAD_LETTERS" "--message-retention-duration=$DEAD_LETTER_RETENTION" \
    --expiration-period=never --ack-deadline=60 "$PROJECT"
  report "created subscription $DEAD_LETTERS"
}

# create_account ID DESCRIPTION: a service account.
create_account() {
  if exists iam service-accounts describe "$(email "$1")" "$PROJECT"; then return; fi
  run iam service-accounts create "$1" "--display-name=$2" "$PROJECT"
  report "created service account $1"
}

# The account that builds the image, with its rights on the project.
create_build_account() {
  local role
  create_account "$BUILD_ACCOUNT" "$FUNCTION_NAME: builds the image"
  for role in $BUILD_ROLES; do
    grant projects add-iam-policy-binding "$PROJECT_ID" "--member=serviceAccount:$(email "$BUILD_ACCOUNT")" "--role=$role" --condition=None
  done
}

# The e-mail address of a service account.
email() {
  local id=$PROJECT_ID
  # In addresses a domain-scoped project such as example.com:shop is written shop.example.com.
  [[ $id != *:* ]] || id=${id#*:}.${id%%:*}
  printf %s "$1@$id.iam.gserviceaccount.com"
}

# update_secret SETTING SECRET: adds a version to the secret if its value changed. The value is passed through a pipe.
update_secret() {
  local setting=$1 secret=$2 file=${1}_FILE source add
  add=(secrets versions add "$secret" --data-file=- "$PROJECT")
  if exists secrets describe "$secret" "$PROJECT"; then
    if is_current_secret "$setting" "$secret"; then return; fi
  else
    run secrets create "$secret" --replication-policy=automatic "$PROJECT"
    report "created secret $secret"
  fi
  if [[ $dry_run ]]; then
    source="\$$setting"
    if [[ ${!file-} ]]; then source="\$(<$(quoted "${!file}"))"; fi
    printf 'printf %%s "%s" | %s\n' "$source" "$(quoted gcloud "${add[@]}")"
  else
    printf %s "${!setting}" | gcloud "${add[@]}" >/dev/null 2>"$work/error" || failed "${add[@]}"
    report "added a version of secret $secret"
  fi
}

# is_current_secret SETTING SECRET: true if the secret's latest version has the setting's value.
is_current_secret() {
  local current
  current=$(gcloud secrets versions access latest "--secret=$2" "$PROJECT" </dev/null 2>/dev/null) || return 1
  [[ $current == "${!1}" ]]
}

# The environment variables as YAML. Every value is quoted, so that `no` and `1` remain text.
environment_yaml() {
  local name
  for name in $DEPLOYED ${backfill:+BACKFILL_STATE}; do
    if [[ $backfill && " $NOT_FOR_JOBS " == *" $name "* ]]; then continue; fi
    if [[ ${!name-} ]]; then printf "%s: '%s'\n" "$name" "${!name//\'/\'\'}"; fi
  done
}

deploy_function() {
  deploy_service functions deploy "$FUNCTION_NAME" --gen2 "--runtime=$FUNCTION_RUNTIME" "--source=$ROOT" "$BUILDER" \
    --entry-point=sync_event "--trigger-topic=$TOPIC" --retry "--trigger-service-account=$(email "$TRIGGER_ACCOUNT")" \
    --ingress-settings=internal-only
}

deploy_container() {
  if [[ ${IMAGE-} ]]; then
    deploy_service run deploy "$SERVICE" "--image=$IMAGE" --ingress=internal
  else
    deploy_service run deploy "$SERVICE" "--source=$ROOT" "$BUILDER" --ingress=internal
  fi
}

# gcloud 528 supports mount-options only in beta, and no --build-service-account for jobs. Only one task may work on the
# state file at a time. An attempt resumes where the previous one was cut off.
deploy_backfill() {
  local source=("--source=$ROOT")
  if [[ ${IMAGE-} ]]; then source=("--image=$IMAGE"); fi
  deploy_with_settings beta run jobs deploy "$JOB" "${source[@]}" --command=python,-m,jobs --args=backfill \
    --tasks=1 --parallelism=1 --max-retries=3 --task-timeout=24h --cpu=1 --memory=1Gi \
    "--add-volume=name=state,type=cloud-storage,bucket=$BUCKET,mount-options=uid=$IMAGE_USER;gid=$IMAGE_USER;metadata-cache-ttl-secs=0" \
    "--add-volume-mount=volume=state,mount-path=$STATE_FOLDER" "--service-account=$(email "$JOBS_ACCOUNT")"
}

# deploy_service COMMAND...: adds the options that the function and the container share. Each deployment creates a new
# revision, whose instances read the latest versions of the secrets when they start.
deploy_service() {
  deploy_with_settings "$@" "--service-account=$(email "$RUNTIME_ACCOUNT")" \
    "--concurrency=$THREADS" "--cpu=$FUNCTION_CPU" "--memory=$FUNCTION_MEMORY" "--timeout=${FUNCTION_TIMEOUT}s" \
    "--min-instances=$MIN_INSTANCES" "--max-instances=$MAX_INSTANCES" --no-allow-unauthenticated
}

# deploy_with_settings COMMAND...: adds the sync's environment variables and secrets.
deploy_with_settings() {
  local file=$work/env.yaml command
  if [[ $dry_run ]]; then
    file=env.yaml
    printf "cat >%s <<'END'\n%s\nEND\n" "$file" "$(environment_yaml)"
  else
    environment_yaml >"$file"
  fi
  command=("$@" "--region=$REGION" "--env-vars-file=$file" "--set-secrets=CT_API_CLIENT=$CT_SECRET:latest,KLAVIYO_AUTH_KEY=$KLAVIYO_SECRET:latest" "$PROJECT")
  if [[ $dry_run ]]; then
    run "${command[@]}"
  else
    # The build takes minutes, so show gcloud's progress on stderr.
    gcloud "${command[@]}" </dev/null >/dev/null || fail "failed: $(quoted gcloud "${command[@]}")"
  fi
}

# Eventarc creates its own subscription, with its own ack deadline and retention and without a dead-letter policy. This
# corrects it.
tune_subscription() {
  lookup TRIGGER functions describe "$FUNCTION_NAME" --gen2 "--region=$REGION" '--format=value(eventTrigger.trigger)' "$PROJECT"
  [[ $TRIGGER ]] || fail "function $FUNCTION_NAME has no trigger: was it first deployed without this script?"
  lookup SUBSCRIPTION eventarc triggers describe "$TRIGGER" "--location=$REGION" '--format=value(transport.pubsub.subscription)' "$PROJECT"
  [[ $SUBSCRIPTION ]] || fail "trigger $TRIGGER has no subscription"
  grant_dead_lettering
  run pubsub subscriptions update "$SUBSCRIPTION" "${QUEUE_FLAGS[@]}" "$PROJECT"
}

# Creates or updates the subscription that pushes straight to the container, as the account that may call it.
push_to_container() {
  local push
  lookup URL run services describe "$SERVICE" "--region=$REGION" '--format=value(status.url)' "$PROJECT"
  [[ $URL ]] || fail "service $SERVICE has no address"
  SUBSCRIPTION=$PUSH_SUBSCRIPTION
  push=("--push-endpoint=$URL/projects/$PROJECT_ID/topics/$TOPIC" "--push-auth-token-audience=$URL"
    "--push-auth-service-account=$(email "$TRIGGER_ACCOUNT")" "${QUEUE_FLAGS[@]}" "$PROJECT")
  if exists pubsub subscriptions describe "$SUBSCRIPTION" "$PROJECT"; then
    run pubsub subscriptions update "$SUBSCRIPTION" "${push[@]}"
  else
    run pubsub subscriptions create "$SUBSCRIPTION" "--topic=$TOPIC" "${push[@]}"
    report "created subscription $SUBSCRIPTION"
  fi
  grant_dead_lettering
}

# Lets Pub/Sub itself move messages to the dead-letter topic after their last attempt.
grant_dead_lettering() {
  local agent
  lookup PROJECT_NUMBER projects describe "$PROJECT_ID" '--format=value(projectNumber)'
  agent=serviceAccount:service-$PROJECT_NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com
  grant pubsub topics add-iam-policy-binding "$DEAD_LETTERS" "--member=$agent" --role=roles/pubsub.publisher "$PROJECT"
  grant pubsub subscriptions add-iam-policy-binding "$SUBSCRIPTION" "--member=$agent" --role=roles/pubsub.subscriber "$PROJECT"
}

# If two subscriptions deliver to the sync, every message is processed twice.
warn_of_other_subscriptions() {
  local others
  lookup TOPIC_SUBSCRIPTIONS pubsub topics list-subscriptions "$TOPIC" "$PROJECT" '--format=value(.)'
  if [[ $dry_run ]]; then return; fi
  others=$(grep -vxF -e "$SUBSCRIPTION" -e "projects/$PROJECT_ID/subscriptions/${SUBSCRIPTION##*/}" <<<"$TOPIC_SUBSCRIPTIONS") || return 0
  printf 'deploy.sh: warning: topic %s has other subscriptions; if one of them also delivers to this sync, every message is processed twice: %s\n' \
    "$TOPIC" "${others//$'\n'/ }" >&2
}

update_secrets() {
  update_secret CT_API_CLIENT "$CT_SECRET"
  update_secret KLAVIYO_AUTH_KEY "$KLAVIYO_SECRET"
}

# grant_secret_access ACCOUNT: lets the account read both secrets.
grant_secret_access() {
  local secret
  for secret in "$CT_SECRET" "$KLAVIYO_SECRET"; do
    grant secrets add-iam-policy-binding "$secret" "--member=$1" --role=roles/secretmanager.secretAccessor "$PROJECT"
  done
}

# The jobs' bucket. The state is overwritten every few seconds; with soft delete every old version would be stored and
# billed.
create_bucket() {
  if exists storage buckets describe "gs://$BUCKET" "$PROJECT"; then return; fi
  run storage buckets create "gs://$BUCKET" "--location=$REGION" --uniform-bucket-level-access --public-access-prevention \
    --soft-delete-duration=0 "$PROJECT"
  report "created bucket $BUCKET"
}

# The backfill job and what it needs. It does not need a function or a container.
deploy_job() {
  local account
  account=serviceAccount:$(email "$JOBS_ACCOUNT")
  step "APIs"
  enable_apis
  step "service account"
  create_account "$JOBS_ACCOUNT" "$FUNCTION_NAME: jobs"
  step "secrets"
  update_secrets
  grant_secret_access "$account"
  step "bucket $BUCKET"
  create_bucket
  grant storage buckets add-iam-policy-binding "gs://$BUCKET" "--member=$account" --role=roles/storage.objectUser "$PROJECT"
  step "job $JOB"
  deploy_backfill
  step "next: gcloud run jobs execute $JOB --region=$REGION $PROJECT"
}

# The function or the container, and everything that it needs.
deploy() {
  local runtime trigger
  runtime=serviceAccount:$(email "$RUNTIME_ACCOUNT")
  trigger=serviceAccount:$(email "$TRIGGER_ACCOUNT")
  step "APIs"
  enable_apis
  step "topic $TOPIC, dead letters in $DEAD_LETTERS"
  create_topic "$TOPIC"
  create_topic "$DEAD_LETTERS"
  create_dead_letter_subscription
  step "service accounts"
  create_account "$RUNTIME_ACCOUNT" "$FUNCTION_NAME: runs the sync"
  create_account "$TRIGGER_ACCOUNT" "$FUNCTION_NAME: calls the sync"
  if [[ ! ${BUILD_SERVICE_ACCOUNT-} && ! ${IMAGE-} ]]; then create_build_account; fi
  grant pubsub topics add-iam-policy-binding "$DEAD_LETTERS" "--member=$runtime" --role=roles/pubsub.publisher "$PROJECT"
  step "secrets"
  update_secrets
  grant_secret_access "$runtime"
  step "commercetools may publish"
  run pubsub topics add-iam-policy-binding "$TOPIC" "--member=$COMMERCETOOLS_ACCOUNT" --role=roles/pubsub.publisher "$PROJECT"
  if [[ $container ]]; then
    step "container $SERVICE"
    deploy_container
    grant run services add-iam-policy-binding "$SERVICE" "--region=$REGION" "--member=$trigger" --role=roles/run.invoker "$PROJECT"
  else
    step "function $FUNCTION_NAME"
    deploy_function
    grant functions add-invoker-policy-binding "$FUNCTION_NAME" "--region=$REGION" "--member=$trigger" "$PROJECT"
  fi
  step "its subscription: $DELIVERY_ATTEMPTS attempts, $BACKOFF_MIN to $BACKOFF_MAX apart, kept for $RETENTION"
  if [[ $container ]]; then push_to_container; else tune_subscription; fi
  warn_of_other_subscriptions
  step "next: python3 manage.py subscriptions apply --topic projects/$PROJECT_ID/topics/$TOPIC"
  step "to paste when you are paged:"
  print_command "export TOPIC=projects/$PROJECT_ID/topics/$TOPIC"
  print_command "export DEAD_LETTER_SUBSCRIPTION=projects/$PROJECT_ID/subscriptions/$DEAD_LETTERS"
  if [[ $container ]]; then print_command "export SYNC_SERVICE=$SERVICE"; else print_command "export SYNC_SERVICE=$FUNCTION_NAME"; fi
  print_command "python3 manage.py status"
}

# --- Deleting --------------------------------------------------------------------------------------------------------

# Asks before deleting. Ends the script unless the answer is yes.
confirm() {
  local answer=
  if [[ $dry_run || $yes ]]; then return; fi
  cat <<EOF
This deletes from project $PROJECT_ID, including all waiting messages and dead letters:
  function          $FUNCTION_NAME ($REGION)
  container         $SERVICE ($REGION)
  job               $JOB ($REGION), with its bucket $BUCKET
  topics            $TOPIC, $DEAD_LETTERS
  subscriptions     $PUSH_SUBSCRIPTION, $DEAD_LETTERS
  secrets           $CT_SECRET, $KLAVIYO_SECRET
  service accounts  $RUNTIME_ACCOUNT, $TRIGGER_ACCOUNT, $BUILD_ACCOUNT, $JOBS_ACCOUNT
First run: python3 manage.py subscriptions delete --topic projects/$PROJECT_ID/topics/$TOPIC
EOF
  printf 'Delete all of it? [y/N] '
  read -r answer || true
  case $answer in
    y | Y | yes | Yes | YES) ;;
    *) fail "nothing was deleted" ;;
  esac
}

# delete_if_exists TITLE GROUP... -- RESOURCE...: `gcloud GROUP delete RESOURCE`, if the resource exists.
delete_if_exists() {
  local title=$1 group=()
  shift
  while [[ $1 != -- ]]; do
    group+=("$1")
    shift
  done
  shift
  if exists "${group[@]}" describe "$@"; then
    run "${group[@]}" delete "$@" --quiet
    report "deleted $title"
  else
    report "no $title"
  fi
}

delete_everything() {
  local account role secret subscription topic
  confirm
  step "function"
  delete_if_exists "function $FUNCTION_NAME" functions -- "$FUNCTION_NAME" --gen2 "--region=$REGION" "$PROJECT"
  step "container"
  delete_if_exists "service $SERVICE" run services -- "$SERVICE" "--region=$REGION" "$PROJECT"
  step "job"
  delete_if_exists "job $JOB" run jobs -- "$JOB" "--region=$REGION" "$PROJECT"
  if exists storage buckets describe "gs://$BUCKET" "$PROJECT"; then
    run storage rm "gs://$BUCKET" --recursive "$PROJECT"
    report "deleted bucket $BUCKET"
  else
    report "no bucket $BUCKET"
  fi
  step "topics"
  for subscription in "$PUSH_SUBSCRIPTION" "$DEAD_LETTERS"; do
    delete_if_exists "subscription $subscription" pubsub subscriptions -- "$subscription" "$PROJECT"
  done
  for topic in "$DEAD_LETTERS" "$TOPIC"; do
    delete_if_exists "topic $topic" pubsub topics -- "$topic" "$PROJECT"
  done
  step "secrets"
  for secret in "$CT_SECRET" "$KLAVIYO_SECRET"; do
    delete_if_exists "secret $secret" secrets -- "$secret" "$PROJECT"
  done
  step "service accounts"
  # Rights on the project outlive their account. `exists` passes over those that were never granted.
  for role in $BUILD_ROLES; do
    exists projects remove-iam-policy-binding "$PROJECT_ID" "--member=serviceAccount:$(email "$BUILD_ACCOUNT")" "--role=$role" --condition=None || true
  done
  for account in "$BUILD_ACCOUNT" "$TRIGGER_ACCOUNT" "$RUNTIME_ACCOUNT" "$JOBS_ACCOUNT"; do
    delete_if_exists "service account $account" iam service-accounts -- "$(email "$account")" "$PROJECT"
  done
}

# --- Main ------------------------------------------------------------------------------------------------------------

dry_run='' container='' backfill='' delete='' yes=''
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
read_arguments "$@"
check_settings
if [[ ${IMAGE-} && ! $backfill ]]; then container=1; fi
# Keeps the secrets out of the environment of every program that this script starts.
export -n CT_API_CLIENT KLAVIYO_AUTH_KEY

# Names of the resources, and options that several commands share.
PROJECT=--project=$PROJECT_ID
RUNTIME_ACCOUNT=$FUNCTION_NAME-runtime
TRIGGER_ACCOUNT=$FUNCTION_NAME-trigger
BUILD_ACCOUNT=$FUNCTION_NAME-build
JOBS_ACCOUNT=$FUNCTION_NAME-jobs
JOB=$FUNCTION_NAME-backfill
BUCKET=${PROJECT_ID//[:.]/-}-$FUNCTION_NAME-jobs
# shellcheck disable=SC2034 # one of $DEPLOYED
BACKFILL_STATE=$STATE_FOLDER/backfill-state.json
BUILDER=--build-service-account=${BUILD_SERVICE_ACCOUNT:-projects/$PROJECT_ID/serviceAccounts/$(email "$BUILD_ACCOUNT")}
# The function's own Cloud Run service is already called FUNCTION_NAME. With another name the container can be deployed
# before the function is deleted, and the other way round.
SERVICE=$FUNCTION_NAME-container
PUSH_SUBSCRIPTION=$FUNCTION_NAME-push
QUEUE_FLAGS=("--dead-letter-topic=$DEAD_LETTERS" "--dead-letter-topic-project=$PROJECT_ID" "--max-delivery-attempts=$DELIVERY_ATTEMPTS"
  "--min-retry-delay=$BACKOFF_MIN" "--max-retry-delay=$BACKOFF_MAX"
  "--ack-deadline=$ACK_DEADLINE" "--message-retention-duration=$RETENTION" --expiration-period=never)
# shellcheck disable=SC2034 # one of $DEPLOYED
GOOGLE_CLOUD_PROJECT=$PROJECT_ID # links a log line to its request
CT_SECRET=$FUNCTION_NAME-ct-api-client
KLAVIYO_SECRET=$FUNCTION_NAME-klaviyo-auth-key

if [[ ! $dry_run ]]; then
  command -v gcloud >/dev/null || fail "gcloud is not installed: https://cloud.google.com/sdk/docs/install"
  export CLOUDSDK_CORE_DISABLE_PROMPTS=1
fi
if [[ $delete ]]; then
  delete_everything
elif [[ $backfill ]]; then
  deploy_job
else
  deploy
fi
