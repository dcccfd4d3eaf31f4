# Connections and workers from the shell: rows, filters, closing.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
    $server = Start-C10kServer -Name Rows -Workers 4
    $other = Start-C10kServer -Name Other -Workers 1
    $client = Open-TestClient -Argument 'hold', '--port', $server.Port, '--count', 40, '--sources', 4, '--timeout', 120
    $null = Read-TestClient -Client $client
    $null = Invoke-TestClient -Client $client -Line 'echo 2 100'
    $stranger = Open-TestClient -Argument 'hold', '--port', $other.Port, '--count', 3, '--timeout', 120
    $null = Read-TestClient -Client $stranger
    $null = Invoke-TestClient -Client $stranger -Line 'echo 1 10'
}

AfterAll {
    $client, $stranger | ForEach-Object { if ($_) { $null = Close-TestClient -Client $_ } }
    $server, $other | Stop-C10kServer
}

Describe 'Get-C10kConnection' {
    It 'gets those of all servers, or of one, by name, by Id and from the pipeline' {
        Get-C10kConnection | Should -HaveCount 43
        Get-C10kConnection Rows | Should -HaveCount 40
        Get-C10kConnection -Server $other.Id | Should -HaveCount 3
        $other | Get-C10kConnection | Should -HaveCount 3
        Get-C10kServer | Get-C10kConnection | Should -HaveCount 43
    }

    It 'tells what each has done' {
        foreach ($row in Get-C10kConnection Rows) {
            $row.ServerName | Should -Be 'Rows'
            $row.State | Should -Be Open
            $row.CloseReason | Should -Be None
            $row.BytesReceived | Should -Be 200
            $row.BytesSent | Should -Be 200
            $row.MessagesReceived | Should -BeGreaterOrEqual 2
            $row.SendQueue | Should -Be 0
            $row.ReadPaused | Should -BeFalse
            $row.LocalEndPoint | Should -Be $server.EndPoint
            $row.RemoteAddress.ToString() | Should -BeLike '127.0.0.*'
            $row.Age.TotalMinutes | Should -BeLessThan 5
            $row.IdleTime | Should -BeLessOrEqual $row.Age
        }
    }

    It 'filters by worker' {
        $rows = Get-C10kConnection Rows -Worker 1, 2
        $rows | Should -HaveCount 20
        foreach ($row in $rows) { $row.Worker | Should -BeIn 1, 2 }
    }

    It 'filters by state' {
        Get-C10kConnection Rows -State Open | Should -HaveCount 40
        Get-C10kConnection Rows -State Closing, HalfClosed | Should -BeNullOrEmpty
    }

    It 'filters by address and by network' {
        Get-C10kConnection Rows -RemoteAddress 127.0.0.1 | Should -HaveCount 10
        Get-C10kConnection Rows -RemoteAddress 127.0.0.0/8 | Should -HaveCount 40
        Get-C10kConnection Rows -RemoteAddress 127.0.0.2/31 | Should -HaveCount 20
        Get-C10kConnection Rows -RemoteAddress 10.0.0.0/8 | Should -BeNullOrEmpty
        { Get-C10kConnection -RemoteAddress 10.0.0.0/33 } | Should -Throw -ErrorId 'ParameterArgumentTransformationError,C10kServer.Commands.GetC10kConnectionCommand'
    }

    It 'filters by the least idle time and age, which the workers look at' {
        Get-C10kConnection Rows -MinimumAge 0 | Should -HaveCount 40
        Get-C10kConnection Rows -MinimumIdle 1h | Should -BeNullOrEmpty
        Get-C10kConnection Rows -MinimumAge 1h | Should -BeNullOrEmpty

        # Idle for longer than 600 ticks they all are.
        Wait-Until { @(Get-C10kConnection Rows -MinimumIdle 1).Count -eq 40 }
        Get-C10kConnection Rows | Where-Object IdleTime -GT 600 | Should -HaveCount 40
        Get-C10kConnection Rows | Where-Object IdleSeconds -GT 600 | Should -BeNullOrEmpty
        $id = (Get-C10kConnection Rows)[0].Id
        Get-C10kConnection -Id $id -MinimumIdle 1h -ErrorVariable failed | Should -BeNullOrEmpty
        $failed | Should -BeNullOrEmpty -Because 'it is there, and not idle for so long'

        # One of them says something, and is not idle any more.
        $talk = Start-C10kServer -Name Talk
        $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $talk.Port)
        try {
            Wait-Until { @(Get-C10kConnection Talk -MinimumIdle 0.5).Count -eq 1 }
            $client.GetStream().WriteByte(1)
            $null = $client.GetStream().ReadByte()
            $row = Get-C10kConnection Talk
            $row.IdleTime | Should -BeLessThan $row.Age
            Get-C10kConnection Talk -MinimumAge ($row.Age) | Should -HaveCount 1
            Get-C10kConnection Talk -MinimumIdle ($row.Age + [timespan]'01:00:00') | Should -BeNullOrEmpty
        } finally {
            $client.Dispose()
            $talk | Stop-C10kServer
        }
    }

    It 'has age and idle time as numbers too' {
        foreach ($row in Get-C10kConnection Rows) {
            $row.AgeSeconds | Should -BeOfType ([double])
            $row.AgeSeconds | Should -Be $row.Age.TotalSeconds
            $row.IdleSeconds | Should -Be $row.IdleTime.TotalSeconds
        }
    }

    It 'gets by Id, and says which is not there' {
        $id = (Get-C10kConnection Rows)[7].Id
        $got = Get-C10kConnection -Id $id, 9999999 -ErrorAction SilentlyContinue -ErrorVariable missing
        $got.Id | Should -Be $id
        $missing | Should -HaveCount 1
        $missing[0].FullyQualifiedErrorId | Should -Be 'ConnectionNotFound,C10kServer.Commands.GetC10kConnectionCommand'
    }

    It 'is what Where filters' {
        Get-C10kConnection | Where-Object State -EQ Closing | Should -BeNullOrEmpty
        Get-C10kConnection | Where-Object ServerName -EQ Other | Should -HaveCount 3
    }
}

Describe 'Get-C10kConnection -TcpInfo' {
    It 'tells what the kernel knows' {
        $rows = Get-C10kConnection Rows -TcpInfo
        $rows | Should -HaveCount 40
        foreach ($row in $rows) {
            $row.TcpState | Should -BeOfType ([C10kServer.TcpState])
            $row.TcpState | Should -Be Established
            $row.RttMs | Should -BeGreaterThan 0
            $row.RttMs | Should -BeLessThan 10000
            $row.RttVarMs | Should -BeGreaterOrEqual 0
            $row.MinRttMs | Should -BeLessOrEqual $row.RttMs
            $row.Retransmits | Should -BeGreaterOrEqual 0
            $row.Cwnd | Should -BeGreaterThan 0
            $row.Unacked | Should -BeGreaterOrEqual 0
            $row.DeliveryRate | Should -BeGreaterThan 0
        }
    }

    It 'is what Where filters, and is empty without the switch' {
        Get-C10kConnection Rows -TcpInfo | Where-Object RttMs -GT 0 | Should -HaveCount 40
        Get-C10kConnection Rows | Where-Object RttMs -GT 0 | Should -BeNullOrEmpty
        $row = (Get-C10kConnection Rows)[0]
        foreach ($name in 'TcpState', 'RttMs', 'RttVarMs', 'MinRttMs', 'Retransmits', 'Cwnd', 'Unacked', 'DeliveryRate', 'EndTime') {
            $row.PSObject.Properties[$name] | Should -Not -BeNullOrEmpty -Because $name
            $null -eq $row.$name | Should -BeTrue -Because $name
        }
    }

    It 'goes with the filters, with objects and with Refresh' {
        Get-C10kConnection Rows -Worker 1 -State Open -TcpInfo | Where-Object Cwnd -GT 0 | Should -HaveCount 10
        $row = (Get-C10kConnection Rows)[3]
        ($row | Get-C10kConnection -TcpInfo).Cwnd | Should -BeGreaterThan 0
        (Get-C10kConnection -Id $row.Id -TcpInfo).Cwnd | Should -BeGreaterThan 0
        $row.Refresh()
        $row.TcpState | Should -Be Established
    }

    It 'comes back from CLIXML with its numbers, and its state by name' {
        $row = (Get-C10kConnection Rows -TcpInfo)[0]
        $text = [System.Management.Automation.PSSerializer]::Serialize($row)
        $copy = [System.Management.Automation.PSSerializer]::Deserialize($text)
        $copy.TcpState | Should -Be 'Established'
        $copy.RttMs | Should -Be $row.RttMs
        $copy.Cwnd | Should -BeOfType ([long])
    }

    It 'is not for those that have ended' {
        { Get-C10kConnection -TcpInfo -Closed } | Should -Throw -ErrorId 'AmbiguousParameterSet,*'
    }
}

Describe 'Get-C10kConnection -Closed' {
    BeforeAll {
        $short = Start-C10kServer -Name Short -Workers 2
        foreach ($kind in 'half-close', 'reset') {
            $visitor = Open-TestClient -Argument 'misbehave', '--kind', $kind, '--port', $short.Port, '--count', 20, '--sources', 2
            (Read-TestClient -Client $visitor).behaved | Should -Be 20
            $null = Close-TestClient -Client $visitor
            Wait-Until { $short.ConnectionCount -eq 0 }
        }

        $guest = Open-TestClient -Argument 'hold', '--port', $short.Port, '--count', 4
        $null = Read-TestClient -Client $guest
        Wait-Until { $short.ConnectionCount -eq 4 }
    }

    AfterAll {
        $null = Close-TestClient -Client $guest
        $short | Stop-C10kServer
    }

    It 'tells of those that have ended, and why, the newest first' {
        $rows = Get-C10kConnection Short -Closed
        $rows | Should -HaveCount 40
        $last = [datetimeoffset]::MaxValue
        foreach ($row in $rows) {
            $row | Should -BeOfType ([C10kServer.Connection])
            $row.State | Should -Be Closed
            $row.ServerName | Should -Be 'Short'
            $row.EndTime | Should -BeLessOrEqual $last
            # Two clocks, which nobody has set meanwhile.
            [Math]::Abs(($row.EndTime - $row.StartTime - $row.Age).TotalSeconds) | Should -BeLessThan 5
            $null -eq $row.RttMs | Should -BeTrue
            $last = $row.EndTime
        }

        $rows[0..19].CloseReason | Should -Be (@('Reset') * 20)
        $rows[20..39].CloseReason | Should -Be (@('PeerClosed') * 20)
        $rows[39].BytesReceived | Should -Be 64
        $rows[39].BytesSent | Should -Be 64
    }

    It 'keeps how long they lasted' {
        $before = (Get-C10kConnection Short -Closed)[0]
        [System.Threading.Thread]::Sleep(50)
        $after = (Get-C10kConnection Short -Closed)[0]
        $after.Id | Should -Be $before.Id
        $after.Age | Should -Be $before.Age
        $after.EndTime | Should -Be $before.EndTime
    }

    It 'has a table of its own, and is a connection all the same' {
        $row = (Get-C10kConnection Short -Closed)[0]
        $row.PSTypeNames[0..1] | Should -Be ('C10kServer.Connection#Closed', 'C10kServer.Connection')
        $row | Get-C10kServer | Should -Be $short
        $row | Close-C10kConnection -ErrorAction SilentlyContinue -ErrorVariable gone
        $gone[0].FullyQualifiedErrorId | Should -Be 'ConnectionNotFound,C10kServer.Commands.CloseC10kConnectionCommand'
        $row.Refresh()
        $row.State | Should -Be Closed
    }

    It 'goes with the filters' {
        $row = (Get-C10kConnection Short -Closed)[5]
        (Get-C10kConnection -Closed -Id $row.Id).Id | Should -Be $row.Id
        ($row | Get-C10kConnection -Closed).Id | Should -Be $row.Id
        Get-C10kConnection Short -Closed -RemoteAddress 127.0.0.2 | Should -HaveCount 20
        (Get-C10kConnection Short -Closed -Worker 0).Count + (Get-C10kConnection Short -Closed -Worker 1).Count | Should -Be 40
        Get-C10kConnection Short -Closed -State Closed | Should -HaveCount 40
        Get-C10kConnection Short -Closed -MinimumAge 0 | Should -HaveCount 40
        Get-C10kConnection Short -Closed -MinimumAge 1h | Should -BeNullOrEmpty
        Get-C10kConnection Short -Closed -MinimumIdle 1h | Should -BeNullOrEmpty
        Get-C10kConnection Short -Closed -State Open | Should -BeNullOrEmpty
        Get-C10kConnection Rows -Closed | Should -BeNullOrEmpty
    }

    It 'says which Id is not among them' {
        $open = (Get-C10kConnection Short)[0]
        $got = Get-C10kConnection -Closed -Id $open.Id -ErrorAction SilentlyContinue -ErrorVariable missing
        $got | Should -BeNullOrEmpty
        $missing | Should -HaveCount 1
        $missing[0].FullyQualifiedErrorId | Should -Be 'ConnectionNotFound,C10kServer.Commands.GetC10kConnectionCommand'
        $open | Get-C10kConnection -Closed -ErrorAction SilentlyContinue -ErrorVariable missing
        $missing | Should -HaveCount 1
        "$missing" | Should -Match '-Closed lists'
    }

    It 'tells it of a server that was stopped too' {
        $short | Stop-C10kServer
        $rows = $short | Get-C10kConnection -Closed
        $rows | Should -HaveCount 44
        $rows[0..3].CloseReason | Should -Be (@('ServerStopped') * 4)
        $short | Get-C10kConnection | Should -BeNullOrEmpty
        Get-C10kConnection -Closed | Should -BeNullOrEmpty
    }
}

Describe 'The Tag of a connection that has ended' {
    BeforeAll {
        # Sends a line and is gone, before the handler can have seen it.
        function Send-Line($Server, [string] $Line, [switch] $Reset) {
            $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $Server.Port)
            $client.GetStream().Write([System.Text.Encoding]::UTF8.GetBytes("$Line`n"))
            if ($Reset) { $client.LingerState = [System.Net.Sockets.LingerOption]::new($true, 0) }
            $client.Dispose()
        }
    }

    AfterEach {
        Get-C10kServer tag* | Stop-C10kServer
    }

    It 'is the one that the script has set, though the client is gone at once' {
        $server = Start-C10kServer -Name tag -Framing Line -ScriptBlock { $Connection.Tag = "user $_" }
        foreach ($number in 1..50) { Send-Line $server $number }
        Wait-Until { @((Get-C10kConnection tag -Closed).Tag -like 'user *').Count -eq 50 }
        (Get-C10kConnection tag -Closed).Tag | Sort-Object | Should -Be ((1..50).ForEach({ "user $_" }) | Sort-Object)
        (Get-C10kConnection tag -Closed | Format-List | Out-String) | Should -Match 'Tag +: user 7\b'
    }

    It 'is there though the script sets it after the end' {
        $gate = [System.Threading.ManualResetEventSlim]::new()
        $server = Start-C10kServer -Name tag -Framing Line -ScriptBlock { $null = ($using:gate).Wait(20000); $Connection.Tag = $_ } `
            -OnClose { $Connection.Tag = "$($Connection.Tag), closed" }
        Send-Line $server one -Reset
        Wait-Until { $server.Closed -eq 1 }
        (Get-C10kConnection tag -Closed).Tag | Should -BeNullOrEmpty
        $gate.Set()
        Wait-Until { (Get-C10kConnection tag -Closed).Tag -eq 'one, closed' }
    }

    It 'may be any object of a script, and no text or bytes of a client that are longer than 1,024' {
        $server = Start-C10kServer -Name tag -Framing Line -ScriptBlock { $Connection.Tag = switch ($_) { table { @{ A = 1 } } number { 7 } long { 'x' * 1MB } bytes { , [byte[]]::new(1MB) } } }
        foreach ($line in 'table', 'number', 'long', 'bytes') {
            $closed = $server.Closed
            Send-Line $server $line
            Wait-Until { $server.Closed -gt $closed -and $null -ne (Get-C10kConnection tag -Closed)[0].Tag }
        }

        $tags = (Get-C10kConnection tag -Closed).ForEach({ , $_.Tag })
        $tags[3].A | Should -Be 1
        $tags[2] | Should -Be 7
        $tags[1].Length | Should -Be 1024
        $tags[0].Length | Should -Be 1024
    }
}

Describe 'Get-C10kWorker' {
    It 'shows each worker with its share' {
        $workers = Get-C10kWorker Rows
        $workers | Should -HaveCount 4
        $workers.Id -join ' ' | Should -Be '0 1 2 3'
        foreach ($worker in $workers) {
            $worker.ServerName | Should -Be 'Rows'
            $worker.State | Should -Be Running
            $worker.ConnectionCount | Should -Be 10
            $worker.ThreadId | Should -BeGreaterThan 0
            $worker.Wakeups | Should -BeGreaterThan 0
            $worker.Events | Should -BeGreaterOrEqual 20
            $worker.BusyPercent | Should -BeLessOrEqual 110
            $worker.QueueLength | Should -Be 0
        }
    }

    It 'gets by Id' {
        (Get-C10kWorker Rows -Id 2).Id | Should -Be 2
    }
}

Describe 'The connections of a server' {
    It 'are an array: [0] is one of them, and closing it closes no other' {
        $server = Start-C10kServer -Name several -Workers 2
        $clients = foreach ($number in 1..3) { [System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port) }
        Wait-Until { $server.Connections.Count -eq 3 }
        $server.Connections[1] | Should -BeOfType ([C10kServer.Connection])
        $server.Workers[-1].Id | Should -Be 1
        $server.EndPoints[0].Port | Should -Be $server.Port
        $server.Options.Address[0] | Should -Be $server.Address
        $server.Connections[0].Abort()
        Wait-Until { $server.Closed -eq 1 }
        $server.Connections.Count | Should -Be 2
        $clients.Dispose()
        $server | Stop-C10kServer
    }
}

Describe 'Close-C10kConnection' {
    It 'closes what is piped to it, and nothing else' {
        $mine = Get-C10kConnection Rows -Worker 0
        $mine | Close-C10kConnection
        (Invoke-TestClient -Client $client -Line 'wait ended=10').ended | Should -Be 10
        Wait-Until { $server.ConnectionCount -eq 30 }
        $echo = Invoke-TestClient -Client $client -Line 'echo 1 100'
        $echo.connections | Should -Be 30
        $echo.wrong + $echo.failed | Should -Be 0
    }

    It 'closes by Id, and gives back the row as it is then' {
        $id = (Get-C10kConnection Rows)[0].Id
        $row = Close-C10kConnection -Id $id -PassThru
        $row.Id | Should -Be $id
        $row.State | Should -BeIn Closing, Closed
        $row.CloseReason | Should -Be AdminClosed
        Wait-Until { $server.ConnectionCount -eq 29 }
    }

    It 'does not hit a stranger with a stale row' {
        $row = (Get-C10kConnection Rows)[0]
        $row.Close()
        Wait-Until { $server.ConnectionCount -eq 28 }
        $row | Close-C10kConnection -ErrorAction SilentlyContinue -ErrorVariable gone
        $gone | Should -HaveCount 1
        $gone[0].FullyQualifiedErrorId | Should -Be 'ConnectionNotFound,C10kServer.Commands.CloseC10kConnectionCommand'
        $gone[0].CategoryInfo.Category | Should -Be ObjectNotFound
        $row.Refresh()
        $row.State | Should -Be Closed
        $server.ConnectionCount | Should -Be 28
    }

    It 'resets with -Reset' {
        $before = Invoke-TestClient -Client $client -Line 'status'
        Get-C10kConnection Rows -Worker 2 | Close-C10kConnection -Reset
        Wait-Until { (Invoke-TestClient -Client $client -Line 'status').reset -gt $before.reset }
        Wait-Until { -not (Get-C10kConnection Rows -Worker 2) }
    }

    It 'takes no server and no worker for a connection' {
        { $server | Close-C10kConnection -ErrorAction Stop } | Should -Throw
        { Get-C10kWorker Other | Close-C10kConnection -ErrorAction Stop } | Should -Throw
        $other.ConnectionCount | Should -Be 3
    }

    It 'changes nothing with -WhatIf' {
        Get-C10kConnection Other | Close-C10kConnection -WhatIf
        $other.ConnectionCount | Should -Be 3
    }
}
