def reason_to_skip():
    return "x"
