# Servers from the shell: starting, finding and stopping them, and every way in which a start can fail.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
    $base = Get-ProcessLedger
}

AfterAll {
    Get-C10kServer | Stop-C10kServer
}

Describe 'Start-C10kServer' {
    AfterEach {
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'gives back a server that listens on a free port of loopback' {
        $server = Start-C10kServer
        $server | Should -BeOfType ([C10kServer.Server])
        $server.State | Should -Be Running
        $server.Address | Should -Be '127.0.0.1'
        $server.Port | Should -BeGreaterThan 0
        $server.Protocol | Should -Be Echo
        $server.WorkerCount | Should -Be ([Environment]::ProcessorCount)
        $server.ConnectionCount | Should -Be 0
    }

    It 'takes Workers for WorkerCount' {
        (Start-C10kServer -Workers 3).Workers | Should -HaveCount 3
    }

    It 'names its threads, so that top shows whose they are' {
        $null = Start-C10kServer -Name web -WorkerCount 2
        (Get-ProcessLedger).Threads | Should -Be ($base.Threads + 3)
        foreach ($worker in Get-C10kWorker web) {
            [System.IO.File]::ReadAllText("/proc/self/task/$($worker.ThreadId)/comm").Trim() | Should -Be "c10k web $($worker.Id)"
        }
    }

    It 'listens on IPv6, and on several addresses with one port' {
        $server = Start-C10kServer -Address 127.0.0.1, ::1
        $server.EndPoints | Should -HaveCount 2
        foreach ($address in '127.0.0.1', '::1') {
            $client = Open-TestClient -Argument 'echo', '--address', $address, '--port', $server.Port, '--count', 20, '--messages', 10
            (Read-TestClient -Client $client).wrong | Should -Be 0
            Close-TestClient -Client $client | Should -Be 0
        }
    }

    It 'serves <Protocol>' -ForEach @(
        @{ Protocol = 'Echo'; Sent = 'ping'; Answer = 'ping' }
        @{ Protocol = 'Hello'; Sent = ''; Answer = 'hello world' }
        @{ Protocol = 'Discard'; Sent = 'ping'; Answer = '' }
    ) {
        $server = Start-C10kServer -Protocol $Protocol
        $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port)
        try {
            $client.ReceiveTimeout = 180000
            $stream = $client.GetStream()
            $client.Client.Send([System.Text.Encoding]::ASCII.GetBytes($Sent)) | Should -Be $Sent.Length
            $client.Client.Shutdown('Send')
            [System.IO.StreamReader]::new($stream).ReadToEnd() | Should -BeExactly $Answer
        } finally {
            $client.Dispose()
        }

        Wait-Until { $server.Closed -eq 1 }
    }

    It 'serves <Protocol>, which answers without being asked' -ForEach @(
        @{ Protocol = 'Chargen'; Answer = '^ !"#\$%&''\(\)\*\+,-\./0123456789[^\r\n]{46}\r\n!"#' }
        @{ Protocol = 'Daytime'; Answer = '^[A-Z]\w+day, [A-Z]\w+ \d+, \d{4} \d\d:\d\d:\d\d[+-]\d\d:\d\d\r\n$' }
        @{ Protocol = 'Time'; Answer = '(?s)^.{4}$' }
    ) {
        $server = Start-C10kServer -Protocol $Protocol
        $server.Protocol | Should -Be $Protocol
        $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port)
        try {
            $client.ReceiveTimeout = 180000
            $stream = $client.GetStream()
            $client.Client.Shutdown('Send')
            $text = [System.IO.StreamReader]::new($stream, [System.Text.Encoding]::Latin1).ReadToEnd()
            $text.Substring(0, [Math]::Min($text.Length, 100)) | Should -Match $Answer
        } finally {
            $client.Dispose()
        }

        Wait-Until { $server.Closed -eq 1 }
    }

    It 'refuses a port in use, and nothing is left of the second server' {
        $first = Start-C10kServer
        $ledger = Get-ProcessLedger
        { Start-C10kServer -Port $first.Port } | Should -Throw -ErrorId 'PortInUse,C10kServer.Commands.StartC10kServerCommand'
        $caught = try { Start-C10kServer -Port $first.Port } catch { $_ }
        $caught.CategoryInfo.Category | Should -Be ResourceBusy
        "$caught" | Should -Match "Port $($first.Port) .* in use\. .*port"
        (Get-ProcessLedger).Descriptors | Should -Be $ledger.Descriptors
        Get-C10kServer | Should -HaveCount 1
        $client = Open-TestClient -Argument 'echo', '--port', $first.Port
        Close-TestClient -Client $client | Should -Be 0
    }

    It 'refuses an address that is none of this machine''s' {
        $caught = try { Start-C10kServer -Address 192.0.2.1 } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'AddressNotAvailable,C10kServer.Commands.StartC10kServerCommand'
        $caught.CategoryInfo.Category | Should -Be InvalidArgument
    }

    It 'refuses more connections than the process has descriptors for, and says how many it has' {
        $caught = try { Start-C10kServer -MaxConnection 10000000 } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'DescriptorLimit,C10kServer.Commands.StartC10kServerCommand'
        $caught.CategoryInfo.Category | Should -Be LimitsExceeded
        "$caught" | Should -Match 'ulimit -n'
    }

    It 'refuses a name that is taken, in any case of its letters' {
        $null = Start-C10kServer -Name One
        $caught = try { Start-C10kServer -Name ONE } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'NameInUse,C10kServer.Commands.StartC10kServerCommand'
        $caught.CategoryInfo.Category | Should -Be ResourceExists
    }

    It 'knows a name in any case of its letters in every culture, and by every door: <_>' -ForEach 'tr-TR', 'az', 'lt-LT', 'en-US', '' {
        $before = [cultureinfo]::CurrentCulture
        [cultureinfo]::CurrentCulture = [cultureinfo]::GetCultureInfo($_)
        try {
            $null = Start-C10kServer -Name INDIGO
            { Start-C10kServer -Name indigo } | Should -Throw -ErrorId 'NameInUse,*'
            foreach ($name in 'indigo', 'INDIGO', 'ind*', 'I?DIGO', '[a-i]ndigo') {
                (Get-C10kServer -Name $name).Name | Should -Be 'INDIGO' -Because $name
                (Get-C10kServer $name -State Running).Name | Should -Be 'INDIGO' -Because $name
                (Get-C10kWorker -Server $name)[0].ServerName | Should -Be 'INDIGO' -Because $name
                Test-C10kServer -Name $name | Should -BeTrue -Because $name
            }

            # Other letters are other names, in Turkish too.
            $dotless = [char]0x131
            Get-C10kServer "${dotless}nd${dotless}go*" | Should -BeNullOrEmpty
            $null = Start-C10kServer -Name "${dotless}nd${dotless}go"
            (Get-C10kServer indigo).Name | Should -Be 'INDIGO'
            $line = 'Stop-C10kServer -Name ind'
            $offers = [System.Management.Automation.CommandCompletion]::CompleteInput($line, $line.Length, $null).CompletionMatches
            $offers.CompletionText | Should -Be 'INDIGO'
            Stop-C10kServer -Name indigo
            (Get-C10kServer).Name | Should -Be "${dotless}nd${dotless}go"
        } finally {
            [cultureinfo]::CurrentCulture = $before
        }
    }

    It 'refuses -<Parameter> <Value>' -ForEach @(
        @{ Parameter = 'WorkerCount'; Value = 0 }
        @{ Parameter = 'WorkerCount'; Value = 1000 }
        @{ Parameter = 'Port'; Value = 65536 }
        @{ Parameter = 'Port'; Value = -1 }
        @{ Parameter = 'Backlog'; Value = 0 }
        @{ Parameter = 'HighWaterMark'; Value = 0 }
        @{ Parameter = 'HighWaterMark'; Value = 100000000 }
        @{ Parameter = 'MaxSendQueue'; Value = 1000 }
        @{ Parameter = 'MaxConnection'; Value = -1 }
        @{ Parameter = 'IdleTimeout'; Value = 'soon' }
        @{ Parameter = 'IdleTimeout'; Value = -1 }
        @{ Parameter = 'LingerTimeout'; Value = 0 }
        @{ Parameter = 'MaxConnectionPerAddress'; Value = -1 }
        @{ Parameter = 'AcceptRate'; Value = -1 }
        @{ Parameter = 'Dispatch'; Value = 'Random' }
        @{ Parameter = 'HandshakeTimeout'; Value = -1 }
        @{ Parameter = 'KeepAlive'; Value = '1:00' }
        @{ Parameter = 'UserTimeout'; Value = '60d' }
        @{ Parameter = 'UnixPath'; Value = '' }
        @{ Parameter = 'Protocol'; Value = 'Gopher' }
    ) {
        $arguments = @{ $Parameter = $Value }
        $caught = try { Start-C10kServer @arguments } catch { $_ }
        "$caught" | Should -Match $Parameter
        Get-C10kServer | Should -BeNullOrEmpty
    }

    It 'reads <Value> as <Expected>' -ForEach @(
        @{ Value = 5; Expected = '00:00:05' }
        @{ Value = '500ms'; Expected = '00:00:00.5' }
        @{ Value = '2m'; Expected = '00:02:00' }
        @{ Value = '1h'; Expected = '01:00:00' }
        @{ Value = 1.5; Expected = '00:00:01.5' }
        @{ Value = [timespan]'00:00:07'; Expected = '00:00:07' }
    ) {
        (Start-C10kServer -IdleTimeout $Value).Options.IdleTimeout | Should -Be ([timespan]$Expected)
    }

    It 'closes what is idle for longer than -IdleTimeout' {
        $server = Start-C10kServer -IdleTimeout 200ms
        $client = Open-TestClient -Argument 'hold', '--port', $server.Port, '--count', 50
        (Read-TestClient -Client $client).failed | Should -Be 0
        (Invoke-TestClient -Client $client -Line 'wait ended=50').ended | Should -Be 50
        $null = Close-TestClient -Client $client
        Wait-Until { $server.ConnectionCount -eq 0 }
    }

    It 'resets what is over -MaxConnection' {
        $server = Start-C10kServer -MaxConnection 10
        $client = Open-TestClient -Argument 'hold', '--port', $server.Port, '--count', 30
        $null = Read-TestClient -Client $client
        Wait-Until { $server.Rejected -eq 20 }
        $server.ConnectionCount | Should -Be 10
        $null = Close-TestClient -Client $client
    }

    It 'has the engine''s defaults for what is not given' {
        $options = (Start-C10kServer).Options
        $options.UnixPath | Should -BeNullOrEmpty
        $options.UnixMode | Should -BeNullOrEmpty
        $options.SystemdSocket | Should -BeFalse
        $options.DualMode | Should -BeFalse
        $options.MaxConnectionPerAddress + $options.AcceptRate | Should -Be 0
        $options.Dispatch | Should -Be RoundRobin
        foreach ($name in 'HandshakeTimeout', 'KeepAlive', 'UserTimeout') { $options.$name | Should -Be ([timespan]::Zero) -Because $name }
    }

    It 'shows the options that are given' {
        $given = @{ MaxConnectionPerAddress = 7; AcceptRate = 1000; HandshakeTimeout = '3s'; KeepAlive = '1m'; UserTimeout = 20 }
        $options = (Start-C10kServer @given).Options
        $options.MaxConnectionPerAddress | Should -Be 7
        $options.AcceptRate | Should -Be 1000
        $options.HandshakeTimeout | Should -Be ([timespan]'00:00:03')
        $options.KeepAlive | Should -Be ([timespan]'00:01:00')
        $options.UserTimeout | Should -Be ([timespan]'00:00:20')
    }

    It 'resets what is over -MaxConnectionPerAddress' {
        $server = Start-C10kServer -MaxConnectionPerAddress 5
        $client = Open-TestClient -Argument 'hold', '--port', $server.Port, '--count', 40, '--sources', 4
        $null = Read-TestClient -Client $client
        Wait-Until { $server.Rejected -eq 20 }
        Get-C10kConnection -RemoteAddress 127.0.0.1 | Should -HaveCount 5
        $server.ConnectionCount | Should -Be 20
        $null = Close-TestClient -Client $client
    }

    It 'closes what says nothing within -HandshakeTimeout' {
        $server = Start-C10kServer -HandshakeTimeout 200ms
        $client = Open-TestClient -Argument 'hold', '--port', $server.Port, '--count', 10
        $null = Read-TestClient -Client $client
        (Invoke-TestClient -Client $client -Line 'wait ended=10').open | Should -Be 0
        $null = Close-TestClient -Client $client
        Wait-Until { $server.ConnectionCount -eq 0 }
        (Get-C10kConnection -Closed).CloseReason | Should -Be (@('HandshakeTimeout') * 10)
    }

    It 'accepts no faster than -AcceptRate' {
        $server = Start-C10kServer -AcceptRate 50
        $watch = [System.Diagnostics.Stopwatch]::StartNew()
        $client = Open-TestClient -Argument 'echo', '--port', $server.Port, '--count', 150
        (Read-TestClient -Client $client).wrong | Should -Be 0
        $watch.Elapsed.TotalSeconds | Should -BeGreaterThan 1.5
        Close-TestClient -Client $client | Should -Be 0
    }

    It 'deals by <_>' -ForEach 'RoundRobin', 'LeastLoaded', 'ReusePort' {
        $server = Start-C10kServer -Dispatch $_ -Workers 4
        $server.Options.Dispatch | Should -Be $_
        $client = Open-TestClient -Argument 'hold', '--port', $server.Port, '--count', 40
        (Read-TestClient -Client $client).failed | Should -Be 0
        $echo = Invoke-TestClient -Client $client -Line 'echo 2 100'
        $echo.connections | Should -Be 40
        $echo.wrong + $echo.failed | Should -Be 0
        $counts = @($server.Workers.ConnectionCount)
        $sum = 0
        foreach ($count in $counts) { $sum += $count }
        $sum | Should -Be 40
        if ($_ -ne 'ReusePort') { $counts | Should -Be (10, 10, 10, 10) }
        $null = Close-TestClient -Client $client
    }

    It 'takes IPv4 on :: with -DualMode, and shows it as IPv4' {
        $server = Start-C10kServer -Address :: -DualMode
        foreach ($address in '127.0.0.1', '::1') {
            $client = [System.Net.Sockets.TcpClient]::new($address, $server.Port)
            try {
                Wait-Until { $server.ConnectionCount -eq 1 }
                $row = Get-C10kConnection
                $row.RemoteAddress | Should -Be $address
                $row.LocalEndPoint.Address | Should -Be $address
            } finally {
                $client.Dispose()
            }

            Wait-Until { $server.ConnectionCount -eq 0 }
        }
    }

    It 'takes no IPv4 on :: without it' {
        $server = Start-C10kServer -Address ::
        { [System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port) } | Should -Throw '*refused*'
    }

    It 'refuses <Name>, which would have no effect' -ForEach @(
        @{ Name = '-DualMode without ::'; Given = @{ Address = '::1'; DualMode = $true }; Advice = '-Address ::' }
        @{ Name = '-UnixMode without a path'; Given = @{ UnixMode = '600' }; Advice = '-UnixPath' }
        @{ Name = '-Port without an address'; Given = @{ UnixPath = '/tmp/c10k-none.sock'; Port = 8080 }; Advice = '-Address' }
    ) {
        $caught = try { Start-C10kServer @Given } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'InvalidArgument,C10kServer.Commands.StartC10kServerCommand'
        "$caught" | Should -Match $Advice
        Get-C10kServer | Should -BeNullOrEmpty
    }

    It 'says that systemd has passed no socket' {
        foreach ($more in @{}, @{ Address = '127.0.0.1' }) {
            $caught = try { Start-C10kServer -SystemdSocket @more } catch { $_ }
            $caught.FullyQualifiedErrorId | Should -Be 'NoSystemdSocket,C10kServer.Commands.StartC10kServerCommand'
            $caught.CategoryInfo.Category | Should -Be ResourceUnavailable
            "$caught" | Should -Match '\.socket unit'
        }

        Get-C10kServer | Should -BeNullOrEmpty
        (Start-C10kServer).Name | Should -BeLike 'C10k*'
    }

    It 'only says what it would do with -WhatIf' {
        Start-C10kServer -WhatIf | Should -BeNullOrEmpty
        Get-C10kServer | Should -BeNullOrEmpty
    }
}

Describe 'Start-C10kServer -UnixPath' {
    BeforeAll {
        $folder = [System.IO.Directory]::CreateTempSubdirectory('c10k').FullName
        $path = "$folder/echo.sock"
        function Open-UnixClient([string] $Path) {
            $socket = [System.Net.Sockets.Socket]::new('Unix', 'Stream', 'Unspecified')
            $socket.ReceiveTimeout = 180000
            $socket.Connect([System.Net.Sockets.UnixDomainSocketEndPoint]::new($Path))
            $socket
        }
    }

    AfterEach {
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    AfterAll {
        [System.IO.Directory]::Delete($folder, $true)
    }

    It 'listens on the path alone, serves there, and takes the file away at its end' {
        $server = Start-C10kServer -UnixPath $path
        $server.State | Should -Be Running
        $server.Port | Should -Be 0
        $server.Address | Should -BeNullOrEmpty
        $server.EndPoints | Should -HaveCount 1
        "$($server.EndPoint)" | Should -Be "unix:$path"
        $server.Options.UnixPath | Should -Be $path
        $server.Options.Address | Should -HaveCount 0
        $socket = Open-UnixClient $path
        try {
            $socket.Send([byte[]](1, 2, 3)) | Should -Be 3
            $answer = [byte[]]::new(10)
            $socket.Receive($answer) | Should -Be 3
            $answer[0..2] | Should -Be (1, 2, 3)
            $row = Get-C10kConnection -TcpInfo
            $row.State | Should -Be Open
            $row.RemoteAddress | Should -BeNullOrEmpty
            $row.BytesReceived | Should -Be 3
            $row.RttMs | Should -BeNullOrEmpty
            "$($row.LocalEndPoint)" | Should -Be "unix:$path"
        } finally {
            $socket.Dispose()
        }

        $server | Stop-C10kServer
        [System.IO.File]::Exists($path) | Should -BeFalse
    }

    It 'reads a path from the shell''s location' {
        $locations = $ExecutionContext.SessionState.Path
        $before = $locations.CurrentLocation.Path
        $null = $locations.SetLocation($folder)
        try {
            $server = Start-C10kServer -UnixPath ./here.sock
            $server.Options.UnixPath | Should -Be "$folder/here.sock"
            (Open-UnixClient "$folder/here.sock").Dispose()
        } finally {
            $null = $locations.SetLocation($before)
        }
    }

    It 'listens on addresses too where they are given' {
        $server = Start-C10kServer -UnixPath $path -Address 127.0.0.1
        $server.EndPoints | Should -HaveCount 2
        $server.Port | Should -BeGreaterThan 0
        (Open-UnixClient $path).Dispose()
        [System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port).Dispose()
        Wait-Until { $server.Closed -eq 2 }
    }

    It 'refuses a path in use' {
        $first = Start-C10kServer -UnixPath $path
        $caught = try { Start-C10kServer -UnixPath $path } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'PortInUse,C10kServer.Commands.StartC10kServerCommand'
        $caught.CategoryInfo.Category | Should -Be ResourceBusy
        "$caught" | Should -Match ([regex]::Escape($path))

        # That somebody listens there was found out by connecting.
        (Open-UnixClient $path).Dispose()
        Wait-Until { $first.Closed -eq 2 }
    }

    It 'never takes away a file that is no socket' {
        [System.IO.File]::WriteAllText("$folder/precious", 'precious')
        { Start-C10kServer -UnixPath "$folder/precious" } | Should -Throw -ErrorId 'PortInUse,*'
        [System.IO.File]::ReadAllText("$folder/precious") | Should -Be 'precious'
    }

    It 'refuses <Name>' -ForEach @(
        @{ Name = 'a folder that is not there'; Path = '/nowhere/at/all.sock'; Id = 'AddressNotAvailable' }
        @{ Name = 'a path that is too long'; Path = '/tmp/' + 'x' * 150; Id = 'InvalidArgument' }
        @{ Name = 'a place that is no file'; Path = 'Env:/socket'; Id = 'InvalidArgument' }
    ) {
        { Start-C10kServer -UnixPath $Path } | Should -Throw -ErrorId "$Id,C10kServer.Commands.StartC10kServerCommand"
    }

    It 'gives the file the mode <Mode>' -ForEach @(
        @{ Mode = '660'; Octal = '660' }
        @{ Mode = 600; Octal = '600' }
        @{ Mode = '0666'; Octal = '666' }
        @{ Mode = [System.IO.UnixFileMode]'UserRead, UserWrite, GroupWrite'; Octal = '620' }
        @{ Mode = 'UserRead', 'UserWrite'; Octal = '600' }
    ) {
        $server = Start-C10kServer -UnixPath $path -UnixMode $Mode
        [Convert]::ToString([int][System.IO.File]::GetUnixFileMode($path), 8) | Should -Be $Octal
        [Convert]::ToString([int]$server.Options.UnixMode, 8) | Should -Be $Octal
    }

    It 'refuses the mode <_>' -ForEach '888', '1777', 'rw-rw----', '', -1, '12345', 'Everybody', 6.5 {
        $caught = try { Start-C10kServer -UnixPath $path -UnixMode $_ } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'ParameterArgumentTransformationError,C10kServer.Commands.StartC10kServerCommand'
        "$caught" | Should -Match "octal digits as for chmod"
        Get-C10kServer | Should -BeNullOrEmpty
    }

    It 'cannot be dealt by ReusePort' {
        $caught = try { Start-C10kServer -UnixPath $path -Dispatch ReusePort } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'InvalidArgument,C10kServer.Commands.StartC10kServerCommand'
        "$caught" | Should -Match '^-Dispatch: '
    }
}

Describe 'Clients that misbehave' {
    BeforeAll {
        $server = Start-C10kServer -Name Tough -Workers 2 -LingerTimeout 1
        $bystander = Open-TestClient -Argument 'hold', '--port', $server.Port, '--count', 10
        $null = Read-TestClient -Client $bystander
    }

    AfterAll {
        $null = Close-TestClient -Client $bystander
        $server | Stop-C10kServer
    }

    It 'by <Kind> harm neither the server nor others' -ForEach @(
        @{ Kind = 'half-close'; More = @('--size', 100000) }
        @{ Kind = 'reset'; More = @() }
        @{ Kind = 'garbage'; More = @('--bytes', 100000) }
        @{ Kind = 'connect-and-close'; More = @() }
        @{ Kind = 'never-read'; More = @('--duration', 1) }
        @{ Kind = 'slow-write'; More = @('--duration', 2) }
    ) {
        $client = Open-TestClient -Argument (@('misbehave', '--kind', $Kind, '--port', $server.Port, '--count', 100) + $More)
        $answer = Read-TestClient -Client $client
        $echo = Invoke-TestClient -Client $bystander -Line 'echo 10 1000'
        $echo.connections | Should -Be 10
        $echo.wrong + $echo.failed | Should -Be 0
        $answer.behaved | Should -Be 100
        $answer.wrong | Should -Be 0
        $null = Close-TestClient -Client $client
        Wait-Until { $server.ConnectionCount -eq 10 }
        $server.State | Should -Be Running
        $server.HandlerErrors | Should -Be 0
    }
}

Describe 'Get-C10kServer' {
    BeforeAll {
        $one = Start-C10kServer -Name one
        $two = Start-C10kServer -Name two
    }

    AfterAll {
        $one, $two | Stop-C10kServer
    }

    It 'gets all servers, in the order of their Ids' {
        (Get-C10kServer).Name -join ' ' | Should -Be 'one two'
    }

    It 'gets by name, in any case, by wildcard and by Id' {
        (Get-C10kServer TWO).Id | Should -Be $two.Id
        (Get-C10kServer t*).Id | Should -Be $two.Id
        (Get-C10kServer -Id $one.Id).Name | Should -Be 'one'
    }

    It 'is silent where a pattern matches nothing' {
        Get-C10kServer nobody* | Should -BeNullOrEmpty
    }

    It 'gets by state' {
        Suspend-C10kServer -Name one
        (Get-C10kServer -State Suspended).Name | Should -Be 'one'
        (Get-C10kServer -State Running).Name | Should -Be 'two'
        (Get-C10kServer -State Running, Suspended).Name -join ' ' | Should -Be 'one two'
        Get-C10kServer two -State Suspended | Should -BeNullOrEmpty
        Get-C10kServer -Id $two.Id -State Suspended | Should -BeNullOrEmpty
        Get-C10kServer -State Faulted | Should -BeNullOrEmpty
        { Get-C10kServer -State Sleeping } | Should -Throw '*Running*'
        Resume-C10kServer -Name one
    }

    It 'gets by port, whichever of its addresses a server has it on' {
        $three = Start-C10kServer -Name three -Address 127.0.0.1, 127.0.0.2 -UnixPath "$TestDrive/three"
        $four = Start-C10kServer -Name four -UnixPath "$TestDrive/four"
        try {
            (Get-C10kServer -Port $one.Port).Name | Should -Be 'one'
            (Get-C10kServer -Port $one.Port, $three.Port).Name -join ' ' | Should -Be 'one three'
            Get-C10kServer t* -Port $one.Port | Should -BeNullOrEmpty
            Get-C10kServer -Port 1 | Should -BeNullOrEmpty
            { Get-C10kServer -Port 0 } | Should -Throw '*Port*'
        } finally {
            $three, $four | Stop-C10kServer
        }
    }

    It 'says where a name is not there, and goes on with the next' {
        $got = Get-C10kServer nobody, one -ErrorAction SilentlyContinue -ErrorVariable missing
        $got.Name | Should -Be 'one'
        $missing | Should -HaveCount 1
        $missing[0].FullyQualifiedErrorId | Should -Be 'ServerNotFound,C10kServer.Commands.GetC10kServerCommand'
        $missing[0].CategoryInfo.Category | Should -Be ObjectNotFound
    }
}

Describe 'Stop-C10kServer' {
    It 'stops by name, by Id and from the pipeline' {
        $null = Start-C10kServer -Name a
        $b = Start-C10kServer -Name b
        $null = Start-C10kServer -Name c
        Stop-C10kServer -Name a
        Stop-C10kServer -Id $b.Id
        Get-C10kServer c | Stop-C10kServer
        Get-C10kServer | Should -BeNullOrEmpty
        Wait-ProcessLedger -Base $base
    }

    It 'leaves an object that is readable, with its last counters' {
        $server = Start-C10kServer
        $client = Open-TestClient -Argument 'echo', '--port', $server.Port, '--count', 5, '--messages', 4, '--size', 100
        $null = Read-TestClient -Client $client
        Close-TestClient -Client $client | Should -Be 0
        $same = $server | Stop-C10kServer -PassThru
        $same.Id | Should -Be $server.Id
        $server.State | Should -Be Stopped
        $server.Accepted | Should -Be 5
        $server.Closed | Should -Be 5
        $server.BytesReceived | Should -Be 2000
        $server.BytesSent | Should -Be 2000
        $server.Connections | Should -BeNullOrEmpty
        foreach ($worker in $server.Workers) { $worker.State | Should -Be Stopped }
        $server | Stop-C10kServer
        $server.Dispose()
    }

    It 'frees the name and the port' {
        $server = Start-C10kServer -Name again
        $port = $server.Port
        $server | Stop-C10kServer
        $second = Start-C10kServer -Name again -Port $port
        $second.Id | Should -BeGreaterThan $server.Id
        $second | Stop-C10kServer
    }

    It 'needs a target: an unknown one is an error' {
        Stop-C10kServer -Name nobody -ErrorAction SilentlyContinue -ErrorVariable missing
        $missing[0].FullyQualifiedErrorId | Should -Be 'ServerNotFound,C10kServer.Commands.StopC10kServerCommand'
    }

    It 'ends connections in order, and with -Force by reset' {
        foreach ($force in $false, $true) {
            $server = Start-C10kServer
            $client = Open-TestClient -Argument 'hold', '--port', $server.Port, '--count', 40
            $null = Read-TestClient -Client $client
            Wait-Until { $server.ConnectionCount -eq 40 }
            $server | Stop-C10kServer -Force:$force
            $end = Invoke-TestClient -Client $client -Line 'wait ended=40'
            $end.reset | Should -Be $(if ($force) { 40 } else { 0 })
            $end.ended + $end.reset | Should -Be 40
            $null = Close-TestClient -Client $client
        }
    }

    It 'changes nothing with -WhatIf' {
        $server = Start-C10kServer
        $server | Stop-C10kServer -WhatIf
        $server.State | Should -Be Running
        $server | Stop-C10kServer
    }
}
