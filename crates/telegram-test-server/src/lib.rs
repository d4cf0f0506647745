//! As much of Telegram as the tests of the connector need, on loopback, over the real wire protocol: with a pre-shared
//! auth key, several users who act in it, and faults by script.
