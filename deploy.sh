#!/usr/bin/env bash
# Deploys the sync as a Cloud Function that Eventarc feeds from a Pub/Sub topic, or as a container that Pub/Sub pushes to, and the
# job that loads a shop's past. See `./deploy.sh --help`.
{ set +x; } 2>/dev/null # a trace would show the secrets
set -euo pipefail
umask 077

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

REQUIRED="PROJECT_ID REGION CT_API_URL CT_AUTH_URL CT_PROJECT_ID CT_SCOPE"
SECRETS="CT_API_CLIENT KLAVIYO_AUTH_KEY"
OPTIONAL="CT_SCOPES PREFERRED_LOCALE PREFERRED_CURRENCY PRODUCT_URL_TEMPLATE DEAD_LETTER_TOPIC SYNC_CONFIG KLAVIYO_API_URL
  KLAVIYO_LIMIT_SHARE SKIP_BASE64_ENCODING PUB_SUB_PORT PUSH_AUDIENCE PUSH_SERVICE_ACCOUNT THREADS APP_TYPE
  FUNCTION_NAME TOPIC FUNCTION_RUNTIME FUNCTION_MEMORY FUNCTION_CPU FUNCTION_TIMEOUT MIN_INSTANCES MAX_INSTANCES
  IMAGE BUILD_SERVICE_ACCOUNT CT_API_CLIENT_FILE KLAVIYO_AUTH_KEY_FILE"
# What the function finds in its environment; its secrets come from Secret Manager, its port from Cloud Run.
DEPLOYED="GOOGLE_CLOUD_PROJECT CT_API_URL CT_AUTH_URL CT_PROJECT_ID CT_SCOPE PREFERRED_LOCALE PREFERRED_CURRENCY PRODUCT_URL_TEMPLATE
  DEAD_LETTER_TOPIC SYNC_CONFIG KLAVIYO_API_URL KLAVIYO_LIMIT_SHARE SKIP_BASE64_ENCODING
  THREADS APP_TYPE"
# A job answers no messages, puts no letters aside, and has a share and threads of its own.
NOT_OF_JOBS="DEAD_LETTER_TOPIC KLAVIYO_LIMIT_SHARE SKIP_BASE64_ENCODING THREADS"

APIS="artifactregistry.googleapis.com cloudbuild.googleapis.com cloudfunctions.googleapis.com
  cloudresourcemanager.googleapis.com eventarc.googleapis.com iam.googleapis.com logging.googleapis.com
  pubsub.googleapis.com run.googleapis.com secretmanager.googleapis.com"
COMMERCETOOLS=serviceAccount:subscriptions@commercetools-platform.iam.gserviceaccount.com

# https, or http to a loopback host: as core/settings.py has it.
BACKEND_URL='^(https://[^[:space:]/]+|http://(localhost|127(\.(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}|\[::1\])(:[0-9]+)?)(/[^[:space:]]*)?$'

# More instances than Klaviyo's limits can feed only collect 429s. Its widest limit is 3500 events a minute for the whole
# account, and one write holds a thread for about half a second.
KLAVIYO_EVENTS_PER_MINUTE=3500
WRITES_PER_MINUTE_AND_THREAD=120

# What Cloud Build needs to build a function as an account of its own; the default one has no rights in new organisations.
BUILD_ROLES="roles/artifactregistry.writer roles/logging.logWriter roles/storage.objectViewer"

ACK_DEADLINE=600       # seconds, the longest there is
DELIVERY_ATTEMPTS=100  # the most there are: about 16 hours with the backoff below
BACKOFF_MIN=10s
BACKOFF_MAX=600s
RETENTION=7d
LETTER_RETENTION=31d
SHORTEST_TIMEOUT=35    # seconds: a message takes up to 25, its dead letter 5 more
LONGEST_TIMEOUT=540    # of an event-driven function
BINDING_ATTEMPTS=6     # a new service account is not known everywhere at once
BINDING_PAUSE=5

STATE_FOLDER=/state    # where a job sees its bucket
IMAGE_USER=10001       # of the Dockerfile: a mounted bucket is root's unless told otherwise

usage() {
  cat <<'EOF'
Deploys the commercetools to Klaviyo sync: topics, service accounts, secrets, and a Cloud Function (2nd gen) that
Eventarc feeds, or a Cloud Run service that a push subscription feeds. Can be run again at any time: what is there is
kept, what differs is brought up to date.

Usage:
  ./deploy.sh [--container | --backfill] [--env-file FILE] [--dry-run] [--SETTING VALUE ...]
  ./deploy.sh --delete [--yes] [--dry-run] [--SETTING VALUE ...]

Options:
  --container      deploy a Cloud Run service, NAME-container, built from the Dockerfile; no function
  --backfill       deploy a Cloud Run job, NAME-backfill, that loads the shop's past when it is started; nothing else
  --env-file FILE  read settings from FILE: one NAME=value a line, the value as it is or in quotes
  --dry-run        print the gcloud commands of a first run, and run none: no login, no network, no question
  --delete         take everything away again, after a question
  --yes            with --delete: do not ask
  --help           show this

Settings come from the environment, from --env-file (which wins over the environment), or from a flag (which wins over
both). The flag of a setting is its name in lower case with dashes: PROJECT_ID is --project-id VALUE.

Where:
  PROJECT_ID             Google Cloud project (required)
  REGION                 e.g. europe-west1 (required)
  FUNCTION_NAME          name of the function; all else is named after it (klaviyo-sync)
  TOPIC                  topic that commercetools publishes to, T or projects/PROJECT_ID/topics/T (the function's name)
  BUILD_SERVICE_ACCOUNT  projects/P/serviceAccounts/EMAIL that builds the function or the container (one is made); a job's
                         image is built by the project's default build account
  IMAGE                  for a container or a job: an image that exists, best by digest; nothing is built

Backends:
  CT_API_URL             commercetools' API host (required)
  CT_AUTH_URL            its auth host (required)
  CT_PROJECT_ID          project key (required)
  CT_SCOPE               scopes, space separated, each with :CT_PROJECT_ID (required; CT_SCOPES is accepted too):
                         view_customers view_orders view_payments view_products view_published_products, and if wanted
                         view_standalone_prices view_discount_codes view_customer_groups view_states (docs/settings.md says what for)
  CT_API_CLIENT          secret: {"clientId": "...", "secret": "..."} (required)
  KLAVIYO_AUTH_KEY       secret: private key (required)
  CT_API_CLIENT_FILE     read CT_API_CLIENT from this file instead
  KLAVIYO_AUTH_KEY_FILE  read KLAVIYO_AUTH_KEY from this file instead
  KLAVIYO_API_URL        another host for Klaviyo
  A secret is never taken from a flag, where other users of the machine could read it.

What to sync:
  PREFERRED_LOCALE       e.g. en-US
  PREFERRED_CURRENCY     e.g. EUR
  PRODUCT_URL_TEMPLATE   e.g. https://shop.example/p/{{productSlug}}
  SYNC_CONFIG            another sync.toml: a file sync.NAME.toml beside this script
  DEAD_LETTER_TOPIC      projects/PROJECT_ID/topics/T for what can't be synced (TOPIC-dead-letters)
  SKIP_BASE64_ENCODING   any value: deliveries without Pub/Sub's envelope are taken too
  APP_TYPE               EVENT or unset
  PUB_SUB_PORT           means nothing here: a function is given its port
  PUSH_AUDIENCE          means nothing here: IAM checks who calls a function
  PUSH_SERVICE_ACCOUNT   likewise

Size:
  THREADS                messages that an instance works on at the same time (8)
  FUNCTION_RUNTIME       python311 or newer (python313)
  FUNCTION_MEMORY        (512Mi)
  FUNCTION_CPU           1, 2, 4, 6 or 8 (1)
  FUNCTION_TIMEOUT       seconds, 35 to 540 (60)
  MIN_INSTANCES          (0)
  KLAVIYO_LIMIT_SHARE    part of Klaviyo's rate limits that is one instance's (1 / MAX_INSTANCES)
  MAX_INSTANCES          (as many as Klaviyo's limit of 3500 events a minute can feed: 5 with 8 threads)

Examples:
  ./deploy.sh --env-file .env --project-id my-project --region europe-west1
  ./deploy.sh --env-file .env --project-id my-project --region europe-west1 --dry-run
  KLAVIYO_AUTH_KEY_FILE=key.txt ./deploy.sh --env-file .env --threads 16 --function-memory 1Gi
  ./deploy.sh --container --env-file .env --project-id my-project --region europe-west1
  ./deploy.sh --backfill --env-file .env --project-id my-project --region europe-west1
  ./deploy.sh --delete --project-id my-project --region europe-west1

Exit status: 0 done, 1 a command failed or the question was answered with no, 2 a setting or an option is wrong.
EOF
}

# --- Talking ---------------------------------------------------------------------------------------------------------

wrong() {
  printf 'deploy.sh: %s\n' "$*" >&2
  exit 2
}

fail() {
  printf 'deploy.sh: %s\n' "$*" >&2
  exit 1
}

step() {
  if [[ $dry_run ]]; then printf '\n# %s\n' "$*"; else printf '== %s\n' "$*"; fi
}

say() {
  [[ $dry_run ]] || printf '   %s\n' "$*"
}

# A line for later: the script that a dry run prints does not run it.
to_paste() {
  if [[ $dry_run ]]; then printf '# %s\n' "$1"; else printf '%s\n' "$1"; fi
}

# A command as the shell takes it. Only what a dry run does not know yet holds a `$`: the variable that will have it.
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

known() {
  local name
  for name in $REQUIRED $OPTIONAL; do
    [[ $name == "$1" ]] && return
  done
  return 1
}

# As commands/env_file.py reads such a file: the value as it is or in quotes, nothing is expanded, nothing is run. What is
# wrong is not shown: it could be a secret.
read_env_file() {
  local file=$1 line name written value number=0
  local blank='^[[:space:]]*(#.*)?$'
  local setting='^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z0-9_]*)[[:space:]]*=(.*)$'
  local single="^'([^']*)'[[:space:]]*(#.*)?$" double='^"(([^"\]|\\.)*)"[[:space:]]*(#.*)?$' comment='^(.*)[[:space:]]+#.*$'
  local quotes_inside='^"(.*)"[[:space:]]*(#[^"]*)?$' backslash=$'\x01'
  [[ -r $file && ! -d $file ]] || wrong "--env-file: $file can't be read"
  while IFS= read -r line || [[ $line ]]; do
    number=$((number + 1))
    if ((number == 1)); then line=${line#$'\xef\xbb\xbf'}; fi
    line=${line%$'\r'}
    if [[ $line =~ $blank ]]; then continue; fi
    [[ $line =~ $setting ]] || wrong "--env-file: line $number of $file is not NAME=value"
    name=${BASH_REMATCH[2]} written=${BASH_REMATCH[3]}
    if [[ " $SECRETS " != *" $name "* ]] && ! known "$name"; then continue; fi
    value=${written#"${written%%[![:space:]]*}"}
    if [[ $value =~ $double ]]; then
      value=${BASH_REMATCH[1]//\\\\/$backslash}
      value=${value//\\\"/\"}
      value=${value//$backslash/\\}
    elif [[ $value =~ $single || $value =~ $quotes_inside ]]; then
      value=${BASH_REMATCH[1]}
    else
      [[ $value != [\'\"]* ]] || wrong "--env-file: line $number of $file: a quote is not closed, or something stands behind it"
      value=$written
      while [[ $value =~ $comment ]]; do value=${BASH_REMATCH[1]}; done
      value=${value#"${value%%[![:space:]]*}"}
      value=${value%"${value##*[![:space:]]}"}
    fi
    printf -v "$name" %s "$value"
  done <"$file"
}

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
      *) wrong "$flag is not an option (see --help)" ;;
    esac
    name=$(tr 'a-z-' 'A-Z_' <<<"${flag%%=*}")
    name=${name#__}
    for value in $SECRETS; do
      [[ $name != "$value" ]] || wrong "${flag%%=*}: a secret is not taken from the command line; set $name, or use ${flag%%=*}-file"
    done
    [[ $name == ENV_FILE ]] || known "$name" || wrong "${flag%%=*} is not an option (see --help)"
    if [[ $flag == *=* ]]; then
      value=${flag#*=}
    else
      (($#)) || wrong "$flag needs a value"
      value=$1
      shift
    fi
    if [[ $name == ENV_FILE ]]; then file=$value; else flags+=("$name=$value"); fi
  done
  if [[ $container && $backfill ]]; then wrong "--container and --backfill are two deployments: run one after the other"; fi
  if [[ $delete && ($container || $backfill) ]]; then
    wrong "--delete takes away everything, not the container or the job alone: leave --container and --backfill out"
  fi
  if [[ $file ]]; then read_env_file "$file"; fi
  for value in ${flags[@]+"${flags[@]}"}; do
    printf -v "${value%%=*}" %s "${value#*=}"
  done
}

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

# must NAME PATTERN HINT: a problem when the value is there and does not match. Never shows the value.
must() {
  [[ -z ${!1-} || ${!1} =~ $2 ]] || problems+=("$1 ($3)")
}

between() {
  if ! [[ ${!1} =~ ^(0|[1-9][0-9]{0,3})$ ]] || ((${!1} < $2 || ${!1} > $3)); then
    problems+=("$1 (must be $2 to $3)")
  fi
}

joined() {
  local text=$1 part
  shift
  for part in "$@"; do text+=", $part"; done
  printf %s "$text"
}

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

  must PROJECT_ID '^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$' 'must be the id of a project'
  must REGION '^[a-z]+-[a-z]+[0-9]+$' 'must be like europe-west1'
  must FUNCTION_NAME '^[a-z][a-z0-9-]{0,20}[a-z0-9]$' 'must be 2 to 22 lower case letters, digits and dashes'
  must TOPIC '^[A-Za-z][A-Za-z0-9_.-]{2,200}$' "must be T or projects/PROJECT_ID/topics/T"
  if [[ ${PROJECT_ID-} ]]; then
    must DEAD_LETTER_TOPIC "^projects/$PROJECT_ID/topics/[A-Za-z][A-Za-z0-9_.-]{2,210}\$" "must be projects/$PROJECT_ID/topics/T"
  fi
  [[ $DEAD_LETTERS != "$TOPIC" ]] || problems+=("DEAD_LETTER_TOPIC (must be another topic than TOPIC)")
  if [[ ! $delete ]]; then check_deployed; fi

  if ((${#missing[@]})); then text="not set: $(joined "${missing[@]}")"; fi
  if ((${#problems[@]})); then text+="${text:+; }wrong: $(joined "${problems[@]}")"; fi
  [[ ! $text ]] || wrong "$text (see --help)"
}

check_deployed() {
  local name before=${#problems[@]}
  : "${THREADS:=8}" "${FUNCTION_RUNTIME:=python313}" "${FUNCTION_MEMORY:=512Mi}" "${FUNCTION_CPU:=1}"
  : "${FUNCTION_TIMEOUT:=60}" "${MIN_INSTANCES:=0}"
  for name in CT_API_URL CT_AUTH_URL KLAVIYO_API_URL; do
    must "$name" "$BACKEND_URL" 'must be https://HOST; http:// is for localhost, 127.0.0.1 and [::1] only'
  done
  must CT_PROJECT_ID '^[A-Za-z0-9_-]{1,256}$' 'must be a project key'
  must CT_API_CLIENT '^[[:space:]]*\{(.*"client(Id|_id)".*"secret"|.*"secret".*"client(Id|_id)").*\}' 'must be {"clientId": "...", "secret": "..."}'
  must KLAVIYO_AUTH_KEY '^[^[:space:]]+$' 'must be one word'
  if [[ ${CT_API_CLIENT-} == *'"..."'* ]]; then problems+=("CT_API_CLIENT (is still what .env.example has)"); fi
  if [[ ${KLAVIYO_AUTH_KEY-} == pk_... ]]; then problems+=("KLAVIYO_AUTH_KEY (is still what .env.example has)"); fi
  must PREFERRED_CURRENCY '^[[:space:]]*[A-Za-z]{3}[[:space:]]*$' 'must be like EUR'
  must APP_TYPE '^EVENT$' 'must be EVENT or unset'
  must FUNCTION_RUNTIME '^python3(1[1-9]|[2-9][0-9])$' 'must be python311 or newer'
  must FUNCTION_MEMORY '^[1-9][0-9]*([KMG]i|[KMG]B?)$' 'must be like 512Mi'
  must KLAVIYO_LIMIT_SHARE '^(0?\.[0-9]*[1-9][0-9]*|1(\.0*)?)$' 'must be above 0 and at most 1'
  must FUNCTION_CPU '^[12468]$' 'must be 1, 2, 4, 6 or 8'
  must IMAGE '^[a-z0-9.-]+\.[a-z]+/[a-z0-9._/-]+(:[A-Za-z0-9_.-]+)?(@sha256:[0-9a-f]{64})?$' 'must be the whole name of an image'
  must BUILD_SERVICE_ACCOUNT '^projects/[^/ ]+/serviceAccounts/[^/ ]+$' 'must be projects/P/serviceAccounts/EMAIL'
  if [[ ${SYNC_CONFIG-} ]] && ! [[ $SYNC_CONFIG =~ ^sync\.([A-Za-z0-9_-]+\.)?toml$ && -r $ROOT/$SYNC_CONFIG ]]; then
    problems+=("SYNC_CONFIG (must be a file sync.NAME.toml beside deploy.sh: no other is uploaded)")
  fi
  for name in $DEPLOYED; do
    [[ ${!name-} != *[[:cntrl:]]* ]] || problems+=("$name (must be a single line)")
  done
  between FUNCTION_TIMEOUT "$SHORTEST_TIMEOUT" "$LONGEST_TIMEOUT"
  between MIN_INSTANCES 0 1000
  before=${#problems[@]}
  between THREADS 1 1000
  if ((${#problems[@]} > before)); then return; fi
  local writes=$((WRITES_PER_MINUTE_AND_THREAD * THREADS))
  # Rounded up, and one to spare.
  : "${MAX_INSTANCES:=$(((KLAVIYO_EVENTS_PER_MINUTE + writes - 1) / writes + 1))}"
  between MAX_INSTANCES 1 1000
  if ((${#problems[@]} > before)); then return; fi
  if ((MAX_INSTANCES > 1)); then
    : "${KLAVIYO_LIMIT_SHARE:=$(printf '0.%04d' $((10000 / MAX_INSTANCES)))}"
  fi
  if ((${#problems[@]} == 0 && MIN_INSTANCES > MAX_INSTANCES)); then
    problems+=("MIN_INSTANCES (must be at most MAX_INSTANCES, which is $MAX_INSTANCES)")
  fi
}

# --- gcloud ----------------------------------------------------------------------------------------------------------

# The command, unless this is a dry run. Says what failed, in gcloud's words.
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

# Whether a resource is there. In a dry run what is to be deleted is, and what is to be made is not.
there() {
  if [[ $dry_run ]]; then
    printf '%s\n' "$(quoted gcloud "$@")"
    [[ $delete ]]
  elif ! gcloud "$@" </dev/null >/dev/null 2>"$work/error"; then
    grep -qiE 'not[_ ]found|cannot find service|\[404\]|SERVICE_DISABLED|has not been used' "$work/error" || failed "$@"
    return 1
  fi
}

# look VARIABLE COMMAND...: what the command prints. A dry run names the variable instead.
look() {
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

# A right for an account that may be new.
bind() {
  local attempt
  if [[ $dry_run ]]; then
    run "$@"
    return
  fi
  for ((attempt = 1; ; attempt++)); do
    if gcloud "$@" </dev/null >/dev/null 2>"$work/error"; then return; fi
    if ((attempt == BINDING_ATTEMPTS)) || ! grep -qi 'does not exist' "$work/error"; then failed "$@"; fi
    sleep "$BINDING_PAUSE"
  done
}

# --- Deploying -------------------------------------------------------------------------------------------------------

enable_apis() {
  local api absent=()
  look ENABLED services list --enabled "$PROJECT" '--format=value(config.name)'
  for api in $APIS; do
    grep -qxF "$api" <<<"$ENABLED" || absent+=("$api")
  done
  if ((${#absent[@]})); then
    run services enable "${absent[@]}" "$PROJECT"
    say "enabled ${absent[*]}"
  fi
}

make_topic() {
  if there pubsub topics describe "$1" "$PROJECT"; then return; fi
  run pubsub topics create "$1" "$PROJECT"
  say "made topic $1"
}

# A topic without a subscription keeps nothing.
keep_dead_letters() {
  if there pubsub subscriptions describe "$DEAD_LETTERS" "$PROJECT"; then return; fi
  run pubsub subscriptions create "$DEAD_LETTERS" "--topic=$DEAD_LETTERS" "--message-retention-duration=$LETTER_RETENTION" \
    --expiration-period=never --ack-deadline=60 "$PROJECT"
  say "made subscription $DEAD_LETTERS"
}

make_account() {
  if there iam service-accounts describe "$(email "$1")" "$PROJECT"; then return; fi
  run iam service-accounts create "$1" "--display-name=$2" "$PROJECT"
  say "made service account $1"
}

make_builder() {
  local role
  make_account "$BUILD_ACCOUNT" "$FUNCTION_NAME: builds the image"
  for role in $BUILD_ROLES; do
    bind projects add-iam-policy-binding "$PROJECT_ID" "--member=serviceAccount:$(email "$BUILD_ACCOUNT")" "--role=$role" --condition=None
  done
}

email() {
  local id=$PROJECT_ID
  # A project of a domain, example.com:shop, is named the other way round in addresses.
  [[ $id != *:* ]] || id=${id#*:}.${id%%:*}
  printf %s "$1@$id.iam.gserviceaccount.com"
}

# keep_secret SETTING SECRET: a new version only when the value is another. The value goes through a pipe.
keep_secret() {
  local setting=$1 secret=$2 file=${1}_FILE source add
  add=(secrets versions add "$secret" --data-file=- "$PROJECT")
  if there secrets describe "$secret" "$PROJECT"; then
    if same_secret "$setting" "$secret"; then return; fi
  else
    run secrets create "$secret" --replication-policy=automatic "$PROJECT"
    say "made secret $secret"
  fi
  if [[ $dry_run ]]; then
    source="\$$setting"
    if [[ ${!file-} ]]; then source="\$(<$(quoted "${!file}"))"; fi
    printf 'printf %%s "%s" | %s\n' "$source" "$(quoted gcloud "${add[@]}")"
  else
    printf %s "${!setting}" | gcloud "${add[@]}" >/dev/null 2>"$work/error" || failed "${add[@]}"
    say "added a version of secret $secret"
  fi
}

same_secret() {
  local current
  current=$(gcloud secrets versions access latest "--secret=$2" "$PROJECT" </dev/null 2>/dev/null) || return 1
  [[ $current == "${!1}" ]]
}

# YAML with every value in quotes: `no` and `1` stay text.
environment() {
  local name
  for name in $DEPLOYED ${backfill:+BACKFILL_STATE}; do
    if [[ $backfill && " $NOT_OF_JOBS " == *" $name "* ]]; then continue; fi
    if [[ ${!name-} ]]; then printf "%s: '%s'\n" "$name" "${!name//\'/\'\'}"; fi
  done
}

deploy_function() {
  build functions deploy "$FUNCTION_NAME" --gen2 "--runtime=$FUNCTION_RUNTIME" "--source=$ROOT" "$BUILDER" \
    --entry-point=sync_event "--trigger-topic=$TOPIC" --retry "--trigger-service-account=$(email "$TRIGGER_ACCOUNT")" \
    --ingress-settings=internal-only
}

deploy_container() {
  if [[ ${IMAGE-} ]]; then
    build run deploy "$SERVICE" "--image=$IMAGE" --ingress=internal
  else
    build run deploy "$SERVICE" "--source=$ROOT" "$BUILDER" --ingress=internal
  fi
}

# gcloud 528 knows mount-options in beta alone, and no --build-service-account for jobs. One task at a time works on the state;
# an attempt goes on where the one before was cut off.
deploy_backfill() {
  local source=("--source=$ROOT")
  if [[ ${IMAGE-} ]]; then source=("--image=$IMAGE"); fi
  with_settings beta run jobs deploy "$JOB" "${source[@]}" --command=python,-m,jobs --args=backfill \
    --tasks=1 --parallelism=1 --max-retries=3 --task-timeout=24h --cpu=1 --memory=1Gi \
    "--add-volume=name=state,type=cloud-storage,bucket=$BUCKET,mount-options=uid=$IMAGE_USER;gid=$IMAGE_USER;metadata-cache-ttl-secs=0" \
    "--add-volume-mount=volume=state,mount-path=$STATE_FOLDER" "--service-account=$(email "$JOBS_ACCOUNT")"
}

# build COMMAND...: with what the function and the container have in common. Each deployment is a new revision, whose instances
# read the secrets' latest versions when they start.
build() {
  with_settings "$@" "--service-account=$(email "$RUNTIME_ACCOUNT")" \
    "--concurrency=$THREADS" "--cpu=$FUNCTION_CPU" "--memory=$FUNCTION_MEMORY" "--timeout=${FUNCTION_TIMEOUT}s" \
    "--min-instances=$MIN_INSTANCES" "--max-instances=$MAX_INSTANCES" --no-allow-unauthenticated
}

# with_settings COMMAND...: with the settings and the secrets of the sync.
with_settings() {
  local file=$work/env.yaml command
  if [[ $dry_run ]]; then
    file=env.yaml
    printf "cat >%s <<'END'\n%s\nEND\n" "$file" "$(environment)"
  else
    environment >"$file"
  fi
  command=("$@" "--region=$REGION" "--env-vars-file=$file" "--set-secrets=CT_API_CLIENT=$CT_SECRET:latest,KLAVIYO_AUTH_KEY=$KLAVIYO_SECRET:latest" "$PROJECT")
  if [[ $dry_run ]]; then
    run "${command[@]}"
  else
    # The build takes minutes: its progress is shown.
    gcloud "${command[@]}" </dev/null >/dev/null || fail "failed: $(quoted gcloud "${command[@]}")"
  fi
}

# Eventarc makes its subscription with an ack deadline and a retention of its own, and without dead letters.
tune_subscription() {
  look TRIGGER functions describe "$FUNCTION_NAME" --gen2 "--region=$REGION" '--format=value(eventTrigger.trigger)' "$PROJECT"
  [[ $TRIGGER ]] || fail "function $FUNCTION_NAME has no trigger: was it deployed in another way before?"
  look SUBSCRIPTION eventarc triggers describe "$TRIGGER" "--location=$REGION" '--format=value(transport.pubsub.subscription)' "$PROJECT"
  [[ $SUBSCRIPTION ]] || fail "trigger $TRIGGER has no subscription"
  let_pubsub_move_letters
  run pubsub subscriptions update "$SUBSCRIPTION" "${QUEUE[@]}" "$PROJECT"
}

# Pub/Sub pushes to the container itself, as the account that may call it.
push_to_container() {
  local push
  look URL run services describe "$SERVICE" "--region=$REGION" '--format=value(status.url)' "$PROJECT"
  [[ $URL ]] || fail "service $SERVICE has no address"
  SUBSCRIPTION=$PUSH_SUBSCRIPTION
  push=("--push-endpoint=$URL/projects/$PROJECT_ID/topics/$TOPIC" "--push-auth-token-audience=$URL"
    "--push-auth-service-account=$(email "$TRIGGER_ACCOUNT")" "${QUEUE[@]}" "$PROJECT")
  if there pubsub subscriptions describe "$SUBSCRIPTION" "$PROJECT"; then
    run pubsub subscriptions update "$SUBSCRIPTION" "${push[@]}"
  else
    run pubsub subscriptions create "$SUBSCRIPTION" "--topic=$TOPIC" "${push[@]}"
    say "made subscription $SUBSCRIPTION"
  fi
  let_pubsub_move_letters
}

# To the dead letters, after the last attempt.
let_pubsub_move_letters() {
  local agent
  look PROJECT_NUMBER projects describe "$PROJECT_ID" '--format=value(projectNumber)'
  agent=serviceAccount:service-$PROJECT_NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com
  bind pubsub topics add-iam-policy-binding "$DEAD_LETTERS" "--member=$agent" --role=roles/pubsub.publisher "$PROJECT"
  bind pubsub subscriptions add-iam-policy-binding "$SUBSCRIPTION" "--member=$agent" --role=roles/pubsub.subscriber "$PROJECT"
}

# Two subscriptions that feed the sync would have every message handled twice.
warn_of_others() {
  local others
  look FEEDS pubsub topics list-subscriptions "$TOPIC" "$PROJECT" '--format=value(.)'
  if [[ $dry_run ]]; then return; fi
  others=$(grep -vxF -e "$SUBSCRIPTION" -e "projects/$PROJECT_ID/subscriptions/${SUBSCRIPTION##*/}" <<<"$FEEDS") || return 0
  printf 'deploy.sh: warning: topic %s has other subscriptions; one that feeds this sync too has every message handled twice: %s\n' \
    "$TOPIC" "${others//$'\n'/ }" >&2
}

keep_secrets() {
  keep_secret CT_API_CLIENT "$CT_SECRET"
  keep_secret KLAVIYO_AUTH_KEY "$KLAVIYO_SECRET"
}

# let_read_secrets ACCOUNT
let_read_secrets() {
  local secret
  for secret in "$CT_SECRET" "$KLAVIYO_SECRET"; do
    bind secrets add-iam-policy-binding "$secret" "--member=$1" --role=roles/secretmanager.secretAccessor "$PROJECT"
  done
}

# The state is written every few seconds: without soft delete no version before is kept, and paid for.
make_bucket() {
  if there storage buckets describe "gs://$BUCKET" "$PROJECT"; then return; fi
  run storage buckets create "gs://$BUCKET" "--location=$REGION" --uniform-bucket-level-access --public-access-prevention \
    --soft-delete-duration=0 "$PROJECT"
  say "made bucket $BUCKET"
}

# Beside a function or a container, or before there is one.
deploy_job() {
  local account
  account=serviceAccount:$(email "$JOBS_ACCOUNT")
  step "APIs"
  enable_apis
  step "service account"
  make_account "$JOBS_ACCOUNT" "$FUNCTION_NAME: long runs"
  step "secrets"
  keep_secrets
  let_read_secrets "$account"
  step "bucket $BUCKET"
  make_bucket
  bind storage buckets add-iam-policy-binding "gs://$BUCKET" "--member=$account" --role=roles/storage.objectUser "$PROJECT"
  step "job $JOB"
  deploy_backfill
  step "next: gcloud run jobs execute $JOB --region=$REGION $PROJECT"
}

deploy() {
  local runtime trigger
  runtime=serviceAccount:$(email "$RUNTIME_ACCOUNT")
  trigger=serviceAccount:$(email "$TRIGGER_ACCOUNT")
  step "APIs"
  enable_apis
  step "topic $TOPIC, dead letters in $DEAD_LETTERS"
  make_topic "$TOPIC"
  make_topic "$DEAD_LETTERS"
  keep_dead_letters
  step "service accounts"
  make_account "$RUNTIME_ACCOUNT" "$FUNCTION_NAME: runs the sync"
  make_account "$TRIGGER_ACCOUNT" "$FUNCTION_NAME: calls the sync"
  if [[ ! ${BUILD_SERVICE_ACCOUNT-} && ! ${IMAGE-} ]]; then make_builder; fi
  bind pubsub topics add-iam-policy-binding "$DEAD_LETTERS" "--member=$runtime" --role=roles/pubsub.publisher "$PROJECT"
  step "secrets"
  keep_secrets
  let_read_secrets "$runtime"
  step "commercetools may publish"
  run pubsub topics add-iam-policy-binding "$TOPIC" "--member=$COMMERCETOOLS" --role=roles/pubsub.publisher "$PROJECT"
  if [[ $container ]]; then
    step "container $SERVICE"
    deploy_container
    bind run services add-iam-policy-binding "$SERVICE" "--region=$REGION" "--member=$trigger" --role=roles/run.invoker "$PROJECT"
  else
    step "function $FUNCTION_NAME"
    deploy_function
    bind functions add-invoker-policy-binding "$FUNCTION_NAME" "--region=$REGION" "--member=$trigger" "$PROJECT"
  fi
  step "its subscription: $DELIVERY_ATTEMPTS attempts, $BACKOFF_MIN to $BACKOFF_MAX apart, kept for $RETENTION"
  if [[ $container ]]; then push_to_container; else tune_subscription; fi
  warn_of_others
  step "next: python3 manage.py subscriptions apply --topic projects/$PROJECT_ID/topics/$TOPIC"
  step "to paste when you are paged:"
  to_paste "export TOPIC=projects/$PROJECT_ID/topics/$TOPIC"
  to_paste "export DEAD_LETTER_SUBSCRIPTION=projects/$PROJECT_ID/subscriptions/$DEAD_LETTERS"
  if [[ $container ]]; then to_paste "export SYNC_SERVICE=$SERVICE"; else to_paste "export SYNC_SERVICE=$FUNCTION_NAME"; fi
  to_paste "python3 manage.py status"
}

# --- Deleting --------------------------------------------------------------------------------------------------------

confirm() {
  local answer=
  if [[ $dry_run || $yes ]]; then return; fi
  cat <<EOF
This deletes from project $PROJECT_ID, with every message and dead letter that waits:
  function          $FUNCTION_NAME ($REGION)
  container         $SERVICE ($REGION)
  job               $JOB ($REGION), with its bucket $BUCKET
  topics            $TOPIC, $DEAD_LETTERS
  subscriptions     $PUSH_SUBSCRIPTION, $DEAD_LETTERS
  secrets           $CT_SECRET, $KLAVIYO_SECRET
  service accounts  $RUNTIME_ACCOUNT, $TRIGGER_ACCOUNT, $BUILD_ACCOUNT, $JOBS_ACCOUNT
Before: python3 manage.py subscriptions delete --topic projects/$PROJECT_ID/topics/$TOPIC
EOF
  printf 'Delete all of it? [y/N] '
  read -r answer || true
  case $answer in
    y | Y | yes | Yes | YES) ;;
    *) fail "nothing was deleted" ;;
  esac
}

# remove TITLE GROUP... -- RESOURCE...: `gcloud GROUP delete RESOURCE`, when it is there.
remove() {
  local title=$1 group=()
  shift
  while [[ $1 != -- ]]; do
    group+=("$1")
    shift
  done
  shift
  if there "${group[@]}" describe "$@"; then
    run "${group[@]}" delete "$@" --quiet
    say "deleted $title"
  else
    say "no $title"
  fi
}

delete_everything() {
  local account role secret subscription topic
  confirm
  step "function"
  remove "function $FUNCTION_NAME" functions -- "$FUNCTION_NAME" --gen2 "--region=$REGION" "$PROJECT"
  step "container"
  remove "service $SERVICE" run services -- "$SERVICE" "--region=$REGION" "$PROJECT"
  step "job"
  remove "job $JOB" run jobs -- "$JOB" "--region=$REGION" "$PROJECT"
  if there storage buckets describe "gs://$BUCKET" "$PROJECT"; then
    run storage rm "gs://$BUCKET" --recursive "$PROJECT"
    say "deleted bucket $BUCKET"
  else
    say "no bucket $BUCKET"
  fi
  step "topics"
  for subscription in "$PUSH_SUBSCRIPTION" "$DEAD_LETTERS"; do
    remove "subscription $subscription" pubsub subscriptions -- "$subscription" "$PROJECT"
  done
  for topic in "$DEAD_LETTERS" "$TOPIC"; do
    remove "topic $topic" pubsub topics -- "$topic" "$PROJECT"
  done
  step "secrets"
  for secret in "$CT_SECRET" "$KLAVIYO_SECRET"; do
    remove "secret $secret" secrets -- "$secret" "$PROJECT"
  done
  step "service accounts"
  # The rights on the project would outlive their account.
  for role in $BUILD_ROLES; do
    there projects remove-iam-policy-binding "$PROJECT_ID" "--member=serviceAccount:$(email "$BUILD_ACCOUNT")" "--role=$role" --condition=None || true
  done
  for account in "$BUILD_ACCOUNT" "$TRIGGER_ACCOUNT" "$RUNTIME_ACCOUNT" "$JOBS_ACCOUNT"; do
    remove "service account $account" iam service-accounts -- "$(email "$account")" "$PROJECT"
  done
}

dry_run='' container='' backfill='' delete='' yes=''
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
read_arguments "$@"
check_settings
if [[ ${IMAGE-} && ! $backfill ]]; then container=1; fi
# No program that is started from here finds a secret in its environment.
export -n CT_API_CLIENT KLAVIYO_AUTH_KEY

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
# Another name than the function's, whose own service has that: so either can be there before the other goes.
SERVICE=$FUNCTION_NAME-container
PUSH_SUBSCRIPTION=$FUNCTION_NAME-push
QUEUE=("--dead-letter-topic=$DEAD_LETTERS" "--dead-letter-topic-project=$PROJECT_ID" "--max-delivery-attempts=$DELIVERY_ATTEMPTS"
  "--min-retry-delay=$BACKOFF_MIN" "--max-retry-delay=$BACKOFF_MAX"
  "--ack-deadline=$ACK_DEADLINE" "--message-retention-duration=$RETENTION" --expiration-period=never)
# shellcheck disable=SC2034 # one of $DEPLOYED
GOOGLE_CLOUD_PROJECT=$PROJECT_ID # joins a log line to its request
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
