#Requires -Modules C10kServer

<#
.SYNOPSIS
    A chat room: the first line is one's name, all further ones go to everybody else. /who and /quit. The names are the connections' tags.
.EXAMPLE
    $server = ./ChatRoom.ps1 -Port 7007; Get-C10kConnection | Where-Object Tag -EQ 'troll' | Close-C10kConnection
#>
[CmdletBinding()]
[OutputType('C10kServer.Server')]
param([string[]] $Address = '127.0.0.1', [ValidateRange(0, 65535)] [int] $Port = 0)

$room = [System.Collections.Concurrent.ConcurrentDictionary[string, object]]::new([System.StringComparer]::OrdinalIgnoreCase)
Start-C10kServer -Address $Address -Port $Port -Framing Line -OnConnect { 'What is your name?' } -ScriptBlock {
    $room, $name, $line = $using:room, $Connection.Tag, $_.TrimEnd()
    if (-not $name) {
        if ($line -notmatch '^\w{1,20}$') { return 'Letters and digits please, twenty at most. What is your name?' }
        if (-not $room.TryAdd($line, $Connection)) { return "There is a $line here. What is your name?" }
        $Connection.Tag = $line
        $news = "* $line has come"
    } elseif ($line -eq '/who') { return $room.Keys -join ', ' }
    elseif ($line -eq '/quit') { return $Connection.Close() }
    else { $news = "${name}: $line" }
    foreach ($other in $room.Values) { if ($other -ne $Connection) { $null = $other.Send($news) } }
} -OnClose {
    if ($Connection.Tag -and ($using:room).TryRemove($Connection.Tag, [ref]$null)) {
        foreach ($other in ($using:room).Values) { $null = $other.Send("* $($Connection.Tag) has gone") }
    }
}
