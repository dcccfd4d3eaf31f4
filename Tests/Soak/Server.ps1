# A server for the soak tests. It prints its port, then answers each line of standard input with one line; the end of the input
# stops it.
$ErrorActionPreference = 'Stop'
Import-Module "$PSScriptRoot/../../C10kServer.psd1"

# Sockets, epolls and eventfds are what an engine could leak; the runtime's own files come and go.
function Get-DescriptorCount {
    $count = 0
    foreach ($link in [IO.Directory]::GetFileSystemEntries('/proc/self/fd')) {
        # The descriptor that lists the directory is gone by now.
        try { $target = [IO.FileInfo]::new($link).LinkTarget } catch { continue }
        if ($target -like 'socket:*' -or $target -like '*[[]event*') { $count++ }
    }

    $count
}

function Get-EngineThreadCount {
    $count = 0
    foreach ($task in [IO.Directory]::GetDirectories('/proc/self/task')) {
        # A thread may end while it is looked at.
        try { if ([IO.File]::ReadAllText("$task/comm").StartsWith('c10k')) { $count++ } } catch { continue }
    }

    $count
}

# Kilobytes of memory that the process has in use, as the kernel sees it.
function Get-Rss {
    foreach ($line in [IO.File]::ReadAllLines('/proc/self/status')) {
        if ($line -match '^VmRSS:\s+(\d+) kB') { return [long]$Matches[1] }
    }
}

function Write-Line([string] $Text) {
    [Console]::Out.WriteLine($Text)
    [Console]::Out.Flush()
}

function Write-Count([string] $Name, [C10kServer.Server] $Server) {
    $lastError = if ($Server.LastError) { $Server.LastError -replace '\s', '_' } else { 'none' }

    # Closed before Accepted: what is accepted in between shows as open, never as one too many closed.
    $closed = $Server.Closed
    Write-Line ("$Name state=$($Server.State) connections=$($Server.ConnectionCount) closed=$closed accepted=$($Server.Accepted)" +
        " rejected=$($Server.Rejected) accept_errors=$($Server.AcceptErrors) received=$($Server.BytesReceived)" +
        " sent=$($Server.BytesSent) handler_errors=$($Server.HandlerErrors) rss=$(Get-Rss)" +
        " descriptors=$(Get-DescriptorCount) threads=$(Get-EngineThreadCount) last_error=$lastError")
}

$descriptors = Get-DescriptorCount
$threads = Get-EngineThreadCount

# An idle timeout that the longest silences of the clients exceed, and that nothing else comes near: neither two seconds
# without descriptors nor a second's stop may cut off a client that talks.
$server = Start-C10kServer -Name soak -Workers 2 -Protocol Echo -IdleTimeout 6s -WriteTimeout 15s -LingerTimeout 2s
Write-Line "ready port=$($server.Port) descriptors=$descriptors threads=$threads"

while ($null -ne ($line = [Console]::In.ReadLine())) {
    switch ($line) {
        'stats' { Write-Count 'stats' $server }
        'collect' {
            # Aggressive: what the collector keeps for the next allocation goes back to the kernel, too.
            [GC]::Collect(2, [GCCollectionMode]::Aggressive, $true, $true)
            [GC]::WaitForPendingFinalizers()
            [GC]::Collect(2, [GCCollectionMode]::Aggressive, $true, $true)
            Write-Count 'collect' $server
        }
        'thread' {
            # Any method that takes nothing and returns nothing would do.
            $thread = [Threading.Thread]::new([Threading.ThreadStart] [GC].GetMethod('WaitForPendingFinalizers').CreateDelegate([Threading.ThreadStart]))
            $thread.Start()
            $thread.Join()
            Write-Line 'thread started=1'
        }
        'stop' {
            Stop-C10kServer $server
            Write-Count 'stop' $server
        }
        default { Write-Line "error reason=unknown_line" }
    }
}
