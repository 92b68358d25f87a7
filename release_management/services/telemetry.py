"""The counters and timers of all roles, in Prometheus' terms. Every role process exposes all of them at `/metrics`.

Durations are in seconds, positions are positions in the log. A metric of another role stays at 0 or has no sample.
"""

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

AGENDA_ITEMS = Gauge("relman_agenda_items", "Orders that are out and commands that are due or will be", ["kind"])
AGENDA_OVERDUE = Gauge("relman_agenda_overdue_seconds", "How long the oldest due command has waited")
APPEND_SECONDS = Histogram("relman_append_seconds", "How long the event store took to append a batch", buckets=SECONDS)
BATCH_SIZE = Histogram(
    "relman_batch_commands", "Commands that shared one commit", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
BUS_BACKLOG = Gauge(
    "relman_bus_backlog", "Messages that wait on the bus for this role, those in work included", ["stream", "consumer"]
)
BUS_CONNECTED = Gauge("relman_bus_connected", "1 while every connection of this process to the message bus stands")
CLOCK_JUMPS = Counter("relman_clock_jumps_total", "Times that the clock jumped by more than an hour, ahead or back")
COMPONENT_CONDITION = Gauge(
    "relman_component_condition",
    "1 for the condition in which the executor of this process sees the component, 0 for the others",
    ["environment", "application", "target", "component", "condition"],
)
COMPONENT_INSTANCES = Gauge(
    "relman_component_instances",
    "Instances of a slot, by kind: wanted, running, healthy; what is not known has no sample",
    ["environment", "application", "target", "component", "slot", "kind"],
)
COMPONENT_LOOK_SECONDS = Gauge(
    "relman_component_look_age_seconds",
    "Seconds since the executor of this process looked at the component",
    ["environment", "application", "target", "component"],
)
COMMANDS = Counter(
    "relman_commands_total", "Commands by their end; deposed: another gateway is to be asked", ["command", "status"]
)
COMMAND_SECONDS = Histogram("relman_command_seconds", "From a command's arrival to its outcome", buckets=SECONDS)
DEAD_LETTERS = Counter("relman_dead_letters_total", "Messages that were set aside, not understood or not deliverable")
GIVEN = Counter(
    "relman_agenda_commands_total",
    "Commands that the agenda asked for, by what the gateway said",
    ["command", "status"],
)
GIVEN_LATE = Histogram(
    "relman_agenda_commands_late_seconds",
    "From when a command fell due to its outcome",
    buckets=(*SECONDS, 60.0, 300.0, 3600.0),
)
GIVEN_SECONDS = Histogram(
    "relman_agenda_commands_seconds",
    "From asking the gateway for what the agenda holds to its outcome",
    buckets=SECONDS,
)
LEASE_HELD = Gauge("relman_lease_held", "1 while this process is the active one of its role", ["role"])
LOG_POSITION = Gauge("relman_log_position", "The position of the newest record that this process has seen")
ORDERS = Counter("relman_orders_total", "Orders that were carried out", ["verb", "result"])
ORDERS_RUNNING = Gauge("relman_orders_running", "Orders that are being carried out now")
ORDERS_SENT = Counter("relman_orders_sent_total", "Orders that were handed to the bus, repetitions included")
ORDERS_UNKNOWN = Counter("relman_orders_unknown_total", "Orders that came and were left to a newer executor")
ORDER_SECONDS = Histogram(
    "relman_order_seconds", "From an order's arrival to its report", ["verb"], buckets=(*SECONDS, 60.0, 300.0)
)
PROJECTION_LAG = Gauge("relman_projection_lag", "Records that the projection has not taken in yet", ["projection"])
PROJECTION_PAGE_SECONDS = Histogram(
    "relman_projection_page_seconds", "How long a page of records took to be taken in", buckets=SECONDS
)
PROJECTION_PARKED = Gauge("relman_projection_parked", "Events that the projection has set aside", ["projection"])
PROJECTION_POSITION = Gauge("relman_projection_position", "The position that was taken in", ["projection"])
PUBLISHED = Counter("relman_published_total", "Records that the relay has published")
PUBLISH_FAILURES = Counter("relman_publish_failures_total", "Times that the bus did not take what the relay publishes")
PUBLISH_SECONDS = Histogram(
    "relman_publish_seconds", "From handing records to the bus until it has stored them", buckets=SECONDS
)
QUERIES = Counter("relman_queries_total", "Queries that were answered", ["query", "result"])
QUERY_SECONDS = Histogram("relman_query_seconds", "From a query's arrival to its answer", buckets=SECONDS)
QUEUE_LENGTH = Gauge("relman_queue_length", "Commands that wait for the gateway")
RELAY_POSITION = Gauge("relman_relay_position", "The position of the newest published record")
REQUESTS_DROPPED = Counter(
    "relman_requests_dropped_total",
    "Requests that were dropped unanswered: expired, older than their asker's patience; full, more than may wait",
    ["lane", "why"],
)
ROLE_HEALTHY = Gauge("relman_role_healthy", "1 while the role is well", ["role"])
STORE_SECONDS = Histogram(
    "relman_store_seconds", "From asking the event store for its newest position to the answer", buckets=SECONDS
)
REFUSALS_UNKEPT = Counter(
    "relman_refusals_unkept_total", "Refusals that were answered and counted, and not stored, since there were too many"
)
TROUBLE = Gauge(
    "relman_trouble",
    "1 while the role's health says this of a part, by kind: trouble or warning",
    ["role", "part", "kind"],
)
