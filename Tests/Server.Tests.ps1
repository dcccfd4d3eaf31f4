# Servers from the shell: starting, finding and stopping them, and every way in which a start can fail.

BeforeAll {
    $root = [System.IO.Path]::GetDirectoryName($PSScriptRoot)
    Import-Module "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/Clients/TestClient.psm1"
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
            $client.ReceiveTimeout = 20000
            $stream = $client.GetStream()
            $client.Client.Send([System.Text.Encoding]::ASCII.GetBytes($Sent)) | Should -Be $Sent.Length
            $client.Client.Shutdown('Send')
            [System.IO.StreamReader]::new($stream).ReadToEnd() | Should -BeExactly $Answer
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

    It 'refuses <_>, which is no address, and never listens on 0.0.0.0 instead' -ForEach 'not-an-ip', '5', '1.2', '127.1', '256.0.0.1', '01.2.3.4', 'localhost', '', '::1::' {
        $caught = try { Start-C10kServer -Address $_ } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Match '^ParameterArgument(Transformation|Validation)Error'
        "$caught" | Should -Match '127\.0\.0\.1|empty'
        Get-C10kServer | Should -BeNullOrEmpty
    }

    It 'refuses a number for an address' {
        { Start-C10kServer -Address 5 } | Should -Throw -ErrorId 'ParameterArgumentTransformationError,C10kServer.Commands.StartC10kServerCommand'
    }

    It 'refuses a name that is taken, in any case of its letters' {
        $null = Start-C10kServer -Name One
        $caught = try { Start-C10kServer -Name ONE } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'NameInUse,C10kServer.Commands.StartC10kServerCommand'
        $caught.CategoryInfo.Category | Should -Be ResourceExists
    }

    It 'refuses -<Parameter> <Value>' -ForEach @(
        @{ Parameter = 'WorkerCount'; Value = 0 }
        @{ Parameter = 'WorkerCount'; Value = 1000 }
        @{ Parameter = 'Port'; Value = 65536 }
        @{ Parameter = 'Port'; Value = -1 }
        @{ Parameter = 'Backlog'; Value = 0 }
        @{ Parameter = 'HighWaterMark'; Value = 0 }
        @{ Parameter = 'MaxConnection'; Value = -1 }
        @{ Parameter = 'IdleTimeout'; Value = 'soon' }
        @{ Parameter = 'IdleTimeout'; Value = -1 }
        @{ Parameter = 'LingerTimeout'; Value = 0 }
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

    It 'only says what it would do with -WhatIf' {
        Start-C10kServer -WhatIf | Should -BeNullOrEmpty
        Get-C10kServer | Should -BeNullOrEmpty
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
