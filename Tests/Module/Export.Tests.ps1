# What converters make of the objects: small flat records, whatever a server holds, and numbers of enums that never change.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeDiscovery {
    # Written down, because scripts and databases have them by now. A new value goes to the end, with a number of its own.
    $numbers = @{
        BuiltInProtocol = 'Echo=0 Hello=1 Discard=2 Chargen=3 Daytime=4 Time=5'
        ByteOrder       = 'BigEndian=0 LittleEndian=1'
        CloseReason     = 'None=0 PeerClosed=1 HandlerClosed=2 AdminClosed=3 Reset=4 Aborted=5 IdleTimeout=6 HandshakeTimeout=7 MessageTimeout=8 ' +
        'WriteTimeout=9 SendQueueFull=10 MessageTooLong=11 HandlerError=12 ServerStopped=13 NetworkError=14 HandlerTimeout=15'
        ConnectionState = 'Opening=0 Open=1 HalfClosed=2 Closing=3 Closed=4'
        CountComparison = 'Equal=0 GreaterOrEqual=1 LessOrEqual=2 Greater=3 Less=4'
        DispatchMode    = 'RoundRobin=0 LeastLoaded=1 ReusePort=2'
        Framing         = 'Raw=0 Line=1 Delimiter=2 Length=3 Fixed=4'
        LoadMode        = 'Echo=0 Churn=1 Idle=2'
        LogLevel        = 'Trace=0 Debug=1 Information=2 Warning=3 Error=4 Critical=5 None=6'
        NewLine         = 'Lf=0 CrLf=1'
        ServerScope     = 'Process=0 Runspace=1'
        ServerState     = 'Created=0 Running=1 Suspended=2 Draining=3 Stopped=4 Faulted=5'
        TcpState        = 'Unknown=0 Established=1 SynSent=2 SynReceived=3 FinWait1=4 FinWait2=5 TimeWait=6 Close=7 CloseWait=8 LastAck=9 Listen=10 Closing=11'
        WorkerState     = 'Running=0 Stalled=1 Stopped=2'
    }
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"
    $enums = foreach ($type in [C10kServer.Server].Assembly.GetExportedTypes().Where({ $_.IsEnum })) {
        @{ Name = $type.Name; Type = $type; Numbers = $numbers[$type.Name] }
    }
}

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
}

Describe 'A server with hundreds of connections' {
    BeforeAll {
        $server = Start-C10kServer -Name many -Workers 2
        $client = Open-TestClient -Argument 'hold', '--port', $server.Port, '--count', 500
        $null = Read-TestClient -Client $client
        Wait-Until { $server.ConnectionCount -eq 500 }
    }

    AfterAll {
        $null = Close-TestClient -Client $client
        Get-C10kServer | Stop-C10kServer
    }

    It 'is under 20 kB of JSON and has no row in it: <Name>' -ForEach @(
        @{ Name = 'piped'; Convert = { $server | ConvertTo-Json -WarningAction SilentlyContinue } }
        @{ Name = 'as an argument'; Convert = { ConvertTo-Json -InputObject $server -WarningAction SilentlyContinue } }
        @{ Name = 'with names of enums'; Convert = { $server | ConvertTo-Json -EnumsAsStrings -WarningAction SilentlyContinue } }
        @{ Name = 'from Get-C10kServer'; Convert = { Get-C10kServer many | ConvertTo-Json -WarningAction SilentlyContinue } }
        @{ Name = 'in what a pipeline selects'; Convert = { $server | Select-Object * | ConvertTo-Json -WarningAction SilentlyContinue } }
        @{ Name = 'deeper than usual'; Convert = { $server | ConvertTo-Json -Depth 5 -WarningAction SilentlyContinue } }
        @{ Name = 'with what an event brings'; Convert = { [pscustomobject]@{ Server = $server } | ConvertTo-Json -WarningAction SilentlyContinue } }
    ) {
        $json = & $Convert
        $json.Length | Should -BeLessThan 20000
        $json | Should -Match '"ConnectionCount": 500'
        $json | Should -Not -Match '"(RemotePort|ThreadId|Connections|Workers)"'
    }

    It 'writes names of enums with -EnumsAsStrings, and numbers without' {
        ($server | ConvertTo-Json -EnumsAsStrings -WarningAction SilentlyContinue | ConvertFrom-Json).State | Should -BeExactly 'Running'
        ($server | ConvertTo-Json -WarningAction SilentlyContinue | ConvertFrom-Json).State | Should -Be 1
    }

    It 'is a flat line of CSV' {
        $lines = @($server | ConvertTo-Csv)
        $lines | Should -HaveCount 2
        $lines[0] | Should -Match '"State"'
        $lines[0] | Should -Not -Match '"(Connections|Workers)"'
        $lines[1].Length | Should -BeLessThan 2000
    }

    It 'has its rows as methods, which Get-Member shows, and as the properties that it always had' {
        ($server | Get-Member).Name | Should -Contain 'GetConnections'
        ($server | Get-Member).Name | Should -Contain 'GetWorkers'
        ($server | Get-Member).Name | Should -Not -Contain 'Connections'
        $server.GetConnections() | Should -HaveCount 500
        $server.GetWorkers() | Should -HaveCount 2
        $server.Connections | Should -HaveCount 500
        $server.Workers[1].Id | Should -Be 1
        $server.Connections[0] | Should -BeOfType ([C10kServer.Connection])
        ($server.Connections | Where-Object State -EQ Open).Count | Should -Be 500

        # Where the module is not imported too: a handler's runspace has the object alone.
        $shell = [powershell]::Create([initialsessionstate]::CreateDefault2()).AddScript({ param($server) $server.Connections.Count; $server.Workers.Count })
        $shell.AddArgument($server).Invoke() | Should -Be 500, 2
        $shell.Dispose()
    }

    It 'has objects that are small too: <_>' -ForEach 'Connection', 'Worker', 'Sample', 'LogRecord', 'Options' {
        $object = switch ($_) {
            'Connection' { $server.Connections[0] }
            'Worker' { $server.Workers[0] }
            'Sample' { $server | Measure-C10kServer -Interval 10ms }
            'LogRecord' { @(Get-C10kLog many)[0] }
            'Options' { $server.Options }
        }
        ($object | ConvertTo-Json -EnumsAsStrings -WarningAction SilentlyContinue).Length | Should -BeLessThan 20000
        ($object | ConvertTo-Csv)[1].Length | Should -BeLessThan 2000
    }
}

Describe 'Enum <Name>' -ForEach $enums {
    It 'has the numbers that it always had' {
        $Numbers | Should -Not -BeNullOrEmpty -Because "the numbers of $Name are written down here"
        [enum]::GetValues($Type).ForEach({ "$_=$([int]$_)" }) -join ' ' | Should -BeExactly $Numbers
    }

    It 'has them written beside the names, so that none changes because another one comes before it' {
        $source = [System.IO.Directory]::GetFiles("$root/Cmdlets", "$Name.cs", 'AllDirectories').Where({ $_ -notmatch '/(bin|obj)/' })
        $source | Should -HaveCount 1
        $text = [System.IO.File]::ReadAllText($source[0])
        foreach ($value in [enum]::GetNames($Type)) { $text | Should -Match "(?m)^ +$value = \d+,$" }
    }
}
