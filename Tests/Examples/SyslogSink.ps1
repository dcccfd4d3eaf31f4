#Requires -Modules C10kServer

<#
.SYNOPSIS
    Syslog over TCP (RFC 6587, counted or a line each) as objects. Ends after -Count, after -Timeout or with its server.
.EXAMPLE
    ./SyslogSink.ps1 -Port 6514 -Timeout 1h | Where-Object Severity -LE Critical
#>
[CmdletBinding()] param([string[]] $Address = '127.0.0.1', [ValidateRange(0, 65535)] [int] $Port = 0,
    [long] $Count = [long]::MaxValue, [C10kServer.Duration] $Timeout = '1d')
enum Severity { Emergency; Alert; Critical; Error; Warning; Notice; Informational; Debug }
$facility = -split 'kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit alert clock' + (0..7).ForEach{ "local$_" }
$queue, $item = [System.Collections.Concurrent.BlockingCollection[object]]::new(10000), $null
# In Latin 1 a character is a byte, so that bytes can be counted. A full queue holds up the handlers, and these their senders.
$server = Start-C10kServer -Name SyslogSink -Address $Address -Port $Port -Encoding latin1 -HandlerTimeout 0 -ScriptBlock {
    for ($text = $ConnectionState.Rest + $_; $text -match '^([1-9]\d{0,4}) |^<[^\n]*\n'; $text = $text.Substring($head + $size)) {
        $head, $size = if ($Matches[1]) { $Matches[0].Length, [int]$Matches[1] } else { 0, $Matches[0].Length }
        if ($text.Length -lt $head + $size) { break }
        ($using:queue).Add(($Connection.RemoteAddress, [System.Text.Encoding]::Latin1.GetBytes($text.Substring($head, $size))))
    }
    $ConnectionState.Rest = if ($text -match '(?s)^([1-9]\d{0,4}( .*)?|<.{0,8191})?$') { $text } else { throw 'This is no syslog.' }
}
try {
    for ($clock = [System.Diagnostics.Stopwatch]::StartNew(); $Count -gt 0 -and $clock.Elapsed -lt $Timeout; $Count--) {
        while (-not $queue.TryTake([ref]$item, 200)) { if ($server.State -eq 'Stopped' -or $clock.Elapsed -ge $Timeout) { return } }
        $line = [System.Text.Encoding]::UTF8.GetString($item[1]).TrimEnd()
        $code, $line = if ($line -match '(?s)^<(\d{1,2}|1[0-8]\d|19[01])>(.*)') { [int]$Matches[1], $Matches[2] } else { 13, $line }
        [pscustomobject]@{ From = $item[0]; Facility = $facility[$code -shr 3]; Severity = [Severity]($code -band 7); Message = $line }
    }
} finally { $queue.CompleteAdding(); $server | Stop-C10kServer }
