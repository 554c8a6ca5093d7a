# SPDX-License-Identifier: Apache-2.0
"""The networks that tests go through, and which tests do not."""

SHUTTLE = 'build/tests/network/shuttle'
EXIT_NOTHING_DONE = 124  # the shuttle's, if no packet went through it

# The one that every suite with a server goes through once.
ORDINARY = ['--delay', '1', '--rate', '100']

# (options of the shuttle, environment) of each network that test_replies.py goes through.
NETWORKS = [
    (ORDINARY, {}),
    (['--delay', '5', '--rate', '100', '--loss', '1', '--reorder', '3'], {}),
    (['--delay', '1', '--mtu', '576', '--buffers', '8192'], {'DCNV2_TEST_ROWS': '4000'}),
    (['--delay', '2', '--rate', '20', '--mtu', '576', '--loss', '0.5', '--reorder', '5', '--seed', '2'],
     {'DCNV2_TEST_ROWS': '4000'}),
]

# Suites that do not go through it, and why. Others do, new ones too.
LEFT_OUT_SUITES = {
    'test_bench.py': 'its clients are programs that speak to the loopback',
    'test_harness.py': 'its stranger takes a port of the loopback',
    'test_memory.py': 'its library would let allocations of nsenter fail as well',
    'test_models.py': 'its one test of a server needs checkpoints beside the project; test_fuxictr.py has lists too',
    'test_progress.py': 'has no server',
    'test_random_described.py': 'has no server',
    'test_score.py': 'has no server',
    'test_scripts.py': 'the scripts start their servers themselves, on the loopback',
    'test_slow_clients.py': 'its clients set segments and windows that make a network of the loopback',
    'test_train.py': 'trains; one request tells whether a file is served',
    'test_train_quality.py': 'has no server',
    'test_train_scale.py': 'has no server',
}

# Tests that do not go through it, and why.
LEFT_OUT_TESTS = {
    'test_connections.py': {
        'test_heads_that_are_held_use_the_same_memory': 'its 90 MB keep this network busy for 7 s, and the probes behind them',
        'test_a_body_that_comes_more_slowly_than_its_least_rate_ends_with_a_408': '15 s of waiting, the same anywhere',
    },
    'test_lifecycle.py': {
        'test_requests_that_wait_behind_others_of_their_connection_at_sigterm_are_answered':
            'its requests have to be at the server: those on their way at SIGTERM are behind a Connection: close',
    },
    'test_limits.py': {
        'test_the_bodies_in_flight_have_a_budget': '384 MiB take 34 s at this rate',
        'test_replies_that_are_not_taken_hold_no_more_than_themselves':
            'sends requests that the server does not read yet, for which only the loopback has room',
        'test_a_probe_waits_for_one_big_request_and_not_for_all_that_came_before_it':
            'needs many large requests at one moment: at this rate they come one after another',
        'test_memory_and_descriptors_stay_flat_over_many_requests': '5,000 round trips take 16 s',
        'test_memory_and_descriptors_stay_flat_over_many_connections': '2,500 handshakes take 8 s',
    },
}
