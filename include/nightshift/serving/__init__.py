"""The local model server: TensorFlow Serving's API where TensorFlow Serving cannot run.

docker-compose and production run TensorFlow Serving itself. Where no container can run, this
server answers the same gRPC and REST calls with the same status codes; one contract suite
(`tests/integration/serving`) is written for both and has only been run against this one.

From outside to inside: `server` and `flags` start it, `rest_api` and `grpc_service` speak the
protocols, `prediction` runs one request, `servables` decides what is loaded, `saved_model` loads
it. Known differences from TensorFlow Serving:

- Predict only: Classify, Regress, MultiInference and SessionRun answer UNIMPLEMENTED.
- An input's shape is checked against its signature before the graph runs; TensorFlow Serving feeds
  the graph and leaves it to an operation to complain, or to broadcast in silence.
- A bad or missing model at start-up is reported in its status and does not stop the server; a
  `--model_config_file` that does not exist yet means no models yet.
- `--tensorflow_inter_op_parallelism` unset runs each request on the thread that received it.
"""
