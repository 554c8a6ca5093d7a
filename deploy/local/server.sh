# SPDX-License-Identifier: Apache-2.0
# server.sh: sourced by the scripts beside it: a server on HTTP_PORT, of the demo model unless
# MODEL_PATH names another one. Which columns a model has is in its own files.

MODEL_PATH=${MODEL_PATH:-model/model_weights.pth}
case $MODEL_PATH in
*/*) ENCODER_PATH=${ENCODER_PATH:-${MODEL_PATH%/*}/preprocess_metadata.pkl} ;;
*) ENCODER_PATH=${ENCODER_PATH:-preprocess_metadata.pkl} ;;
esac
export MODEL_PATH ENCODER_PATH

HTTP_PORT=${HTTP_PORT:-8080}
BASE=http://127.0.0.1:$HTTP_PORT

# Starts the server in the background and waits until it is ready; ends with it if it is not.
start_server() {
    "$1" --http_port "$HTTP_PORT" &
    server=$!
    trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT
    trap 'exit 0' INT
    trap 'exit 143' TERM
    tries=100
    until curl -sf -o /dev/null "$BASE/v2/health/ready"; do
        kill -0 "$server" 2>/dev/null || { wait "$server" || true; exit 1; }
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { echo "the server did not become ready on port $HTTP_PORT" >&2; exit 1; }
        sleep 0.1
    done
    # Another server may hold the port and have answered: ours must still be there.
    sleep 0.1
    kill -0 "$server" 2>/dev/null || { wait "$server" || true; exit 1; }
}

# columns_as 'the text for a category column' 'the text for a dense one': each of the model's columns
# as one of them, with its quoted name in the place of &, separated by commas.
columns_as() {
    curl -s "$BASE/v2/models/dcnv2" | sed 's/.*"inputs":\[//; s/\],"outputs":.*//; s/},{/}\n{/g' |
        sed 's/^{"name":\(.*\),"datatype":"\([A-Z]*\).*/\2 \1/' | awk -v category="$1" -v dense="$2" '{
            text = $1 == "BYTES" ? category : dense
            at = index(text, "&")
            printf "%s%s%s%s", (NR > 1 ? "," : ""), substr(text, 1, at - 1), substr($0, length($1) + 2), substr(text, at + 1) }'
}

# Sets V1_REQUEST and V2_REQUEST: files with a request of one row that the model answers. The
# demo's, or for other columns new ones in which each value is 0.
choose_requests() {
    V1_REQUEST=model/input.json V2_REQUEST=model/input_v2.json
    ! curl -sf -o /dev/null -d "@$V1_REQUEST" "$BASE/v1/models/dcnv2:predict" || return 0
    mkdir -p build
    V1_REQUEST=build/request.json V2_REQUEST=build/request_v2.json
    printf '{"inputs":[{%s}]}\n' "$(columns_as '&:["0"]' '&:[0]')" >"$V1_REQUEST"
    printf '{"inputs":[%s]}\n' "$(columns_as '{"name":&,"shape":[1],"datatype":"BYTES","data":["0"]}' \
        '{"name":&,"shape":[1],"datatype":"FP64","data":[0]}')" >"$V2_REQUEST"
}
