module frollback.example/bench/apiserver

go 1.26
