#Requires -Modules C10kServer

<#
.SYNOPSIS
    A key-value store for all clients: GET key, SET key value, INCR key.
.EXAMPLE
    $server = ./KeyValueStore.ps1 -Port 7007
#>
[CmdletBinding()] [OutputType('C10kServer.Server')]
param([string[]] $Address = '127.0.0.1', [ValidateRange(0, 65535)] [int] $Port = 0)

$store = [System.Collections.Concurrent.ConcurrentDictionary[string, string]]::new()
Start-C10kServer -Address $Address -Port $Port -Framing Line -ScriptBlock {
    $store = $using:store
    switch -Regex ($_) {
        '^GET (\S+)$' { $value = $store[$Matches[1]]; if ($null -eq $value) { 'NONE' } else { "VALUE $value" } }
        '^SET (\S+) (.*)$' { $store[$Matches[1]] = $Matches[2]; 'OK' }
        '^INCR (\S+)$' {
            $key = $Matches[1]
            # Another handler thread may come in between: then it is done again, with the value that is there now.
            do {
                $old = $store.GetOrAdd($key, '0')
                if ($old -notmatch '^-?\d{1,18}$') { return 'ERROR that is no number' }
                $new = [string](1 + [long]$old)
            } until ($store.TryUpdate($key, $new, $old))
            "VALUE $new"
        }
        default { 'ERROR send GET key, SET key value or INCR key' }
    }
}
