#Requires -Modules C10kServer

<#
.SYNOPSIS
    A tar pit for SSH scanners: drips a banner without end, and writes whom it held for how long. Ends after -Duration or with its server.
.EXAMPLE
    ./TarPit.ps1 -Port 2222 -Duration 1d | Where-Object Held -GT 0:10
#>
[CmdletBinding()] param([string[]] $Address = '127.0.0.1', [ValidateRange(0, 65535)] [int] $Port = 0, [int] $MaxConnection = 4096,
    [C10kServer.Duration] $Interval = '10s', [C10kServer.Duration] $Duration = '1h')
$held = [System.Collections.Concurrent.ConcurrentDictionary[long, object]]::new()
$gone, $visit = [System.Collections.Concurrent.BlockingCollection[object]]::new(), $null
$server = Start-C10kServer -Name TarPit -Address $Address -Port $Port -MaxConnection $MaxConnection -ScriptBlock {} -OnConnect {
    $ConnectionState.Watch = [System.Diagnostics.Stopwatch]::StartNew()
    ($using:held)[$Connection.Id] = $Connection
} -OnClose {
    $null = ($using:held).TryRemove($Connection.Id, [ref]$null)
    $time = $ConnectionState.Watch.Elapsed
    ($using:gone).Add([pscustomobject]@{ Address = $Connection.RemoteAddress; Held = $time; Bytes = $Connection.BytesSent })
}
$clock, $next = [System.Diagnostics.Stopwatch]::StartNew(), 0
try {
    while ($server.State -eq 'Running' -and $clock.Elapsed -lt $Duration) {
        if ($gone.TryTake([ref]$visit, 100)) { $visit }
        if ($clock.ElapsedMilliseconds -lt $next) { continue }
        $next = $clock.ElapsedMilliseconds + $Interval.TotalMilliseconds
        foreach ($connection in $held.Values) { $null = $connection.SendText("{0:x8}`r`n" -f [random]::Shared.Next()) }
    }
} finally { $server | Stop-C10kServer }
while ($gone.TryTake([ref]$visit)) { $visit }
