# What the scripts for a shell of its own share: checks, waits, and what the process holds.
function Assert([bool] $Condition, [string] $What) {
    if (-not $Condition) { throw $What }
}

function Wait-For([scriptblock] $Condition, [string] $What) {
    $watch = [Diagnostics.Stopwatch]::StartNew()
    while (-not (& $Condition)) {
        if ($watch.Elapsed.TotalMinutes -gt 3) { throw "not within three minutes: $What" }
        Start-Sleep -Milliseconds 5
    }
}

# Sockets, epolls and eventfds, and threads with the module's name.
function Get-Ledger {
    $links = foreach ($link in [IO.Directory]::GetFileSystemEntries('/proc/self/fd')) {
        try { [IO.FileInfo]::new($link).LinkTarget } catch [IO.IOException] { }
    }
    $threads = foreach ($task in [IO.Directory]::GetDirectories('/proc/self/task')) {
        try { [IO.File]::ReadAllText("$task/comm") } catch [IO.IOException] { }
    }
    '{0} descriptors, {1} threads' -f @($links -match '^socket:|\[event').Count, @($threads -match '^c10k').Count
}
