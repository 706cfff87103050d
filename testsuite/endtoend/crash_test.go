package endtoend

// childVariable tells this very binary to be a worker process, for a test to
// kill.
const childVariable = "TRUEUP_TEST_CHILD"

func child() int { return 0 }
