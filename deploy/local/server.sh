# SPDX-License-Identifier: Apache-2.0
# server.sh: sourced by the scripts beside it: the demo model's server on HTTP_PORT.

MODEL_PATH=${MODEL_PATH:-model/model_weights.pth}
ENCODER_PATH=${ENCODER_PATH:-model/preprocess_metadata.pkl}
DENSE_COLS=${DENSE_COLS:-price}
SPARSE_COLS=${SPARSE_COLS:-userid,cms_segid,cms_group_id,final_gender_code,age_level,pvalue_level,shopping_level,occupation,new_user_class_level,adgroup_id,cate_id,campaign_id,customer,brand,pid,btag}
export MODEL_PATH ENCODER_PATH DENSE_COLS SPARSE_COLS

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
